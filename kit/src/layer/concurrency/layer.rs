use tower::Layer;

use super::{Concurrency, Limited, service::Enter};
use crate::{LayerInfo, Method};

/// Puts a limit around a service.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    concurrency: Option<Concurrency>,
    pub(crate) enter: Option<Enter>,
}

impl ConcurrencyLayer {
    /// The calls of the service share `concurrency` with all others that it stands around, and have its default priority.
    pub fn new(concurrency: &Concurrency) -> Self {
        let enter = Enter::new(&concurrency.limiter, None, None);
        Self { concurrency: Some(concurrency.clone()), enter: Some(enter) }
    }

    /// The calls have the priority of a method.
    #[must_use]
    pub fn for_method(self, method: &Method) -> Self {
        let enter = self.concurrency.as_ref().map(|concurrency| Enter::new(&concurrency.limiter, Some(method), None));
        Self { enter, ..self }
    }

    /// No limit, at no cost: for a chain whose type has the layer whether there is a limit or not.
    pub fn none() -> Self {
        Self { concurrency: None, enter: None }
    }

    /// What the layer tells of itself, and a way to change its settings; `None` without a limit.
    pub fn info(&self) -> Option<LayerInfo> {
        self.concurrency.as_ref().map(Concurrency::info)
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited::new(inner, self.enter.clone())
    }
}
