use tower::Layer;

use super::{Bbr, Guarded, service::Guard};
use crate::{LayerInfo, Method};

/// Puts the protection of a system around a service.
#[derive(Clone, Debug)]
pub struct BbrLayer {
    pub(crate) guard: Option<Guard>,
}

impl BbrLayer {
    /// The calls of the service count with those of all others that `bbr` stands around, and have its default priority.
    pub fn new(bbr: &Bbr) -> Self {
        Self { guard: Some(Guard { bbr: bbr.clone(), class: bbr.class(None) }) }
    }

    /// The calls have the priority of a method.
    #[must_use]
    pub fn for_method(self, method: &Method) -> Self {
        Self { guard: self.guard.map(|Guard { bbr, .. }| Guard { class: bbr.class(Some(method)), bbr }) }
    }

    /// No protection, at no cost: for a chain whose type has the layer whether there is one or not.
    pub fn none() -> Self {
        Self { guard: None }
    }

    /// What the layer tells of itself, and a way to change its settings; `None` without protection.
    pub fn info(&self) -> Option<LayerInfo> {
        self.guard.as_ref().map(|guard| guard.bbr.info())
    }
}

impl<S> Layer<S> for BbrLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.guard.clone() }
    }
}
