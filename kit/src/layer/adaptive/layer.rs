use std::sync::Arc;

use tower::Layer;

use super::Adaptive;
use crate::{
    LayerInfo, Method,
    layer::concurrency::{
        Limited,
        service::{Enter, Watch},
    },
};

/// Puts a limit that finds itself around a service.
#[derive(Clone, Debug)]
pub struct AdaptiveLayer {
    adaptive: Option<Adaptive>,
    pub(crate) enter: Option<Enter>,
}

impl AdaptiveLayer {
    /// The calls of the service share `adaptive` with all others that it stands around, and have its default priority.
    pub fn new(adaptive: &Adaptive) -> Self {
        Self { adaptive: Some(adaptive.clone()), enter: Some(enter(adaptive, None)) }
    }

    /// The calls have the priority of a method.
    #[must_use]
    pub fn for_method(self, method: &Method) -> Self {
        let enter = self.adaptive.as_ref().map(|adaptive| enter(adaptive, Some(method)));
        Self { enter, ..self }
    }

    /// No limit, at no cost: for a chain whose type has the layer whether there is a limit or not.
    pub fn none() -> Self {
        Self { adaptive: None, enter: None }
    }

    /// What the layer tells of itself, and a way to change its settings; `None` without a limit.
    pub fn info(&self) -> Option<LayerInfo> {
        self.adaptive.as_ref().map(Adaptive::info)
    }
}

fn enter(adaptive: &Adaptive, method: Option<&Method>) -> Enter {
    let watch: Arc<dyn Watch> = adaptive.tuner.clone();
    Enter::new(&adaptive.limiter, method, Some(watch))
}

impl<S> Layer<S> for AdaptiveLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited::new(inner, self.enter.clone())
    }
}
