use tower::Layer;

use super::{Validated, Validation};
use crate::LayerInfo;

/// Checks the requests of a service. A service whose request has no rules passes through it at no cost.
#[derive(Clone, Debug)]
pub struct ValidationLayer {
    pub(crate) validation: Option<Validation>,
}

impl ValidationLayer {
    /// Requests are counted together with those of all other layers of `validation`; nothing is checked where that is not enabled.
    pub fn new(validation: &Validation) -> Self {
        Self { validation: validation.config().enabled.then(|| validation.clone()) }
    }

    /// Checks nothing, at no cost: for a chain whose type has the layer whether requests are checked or not.
    pub fn none() -> Self {
        Self { validation: None }
    }

    /// What the layer tells of itself; `None` for one that checks nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        self.validation.as_ref().map(Validation::info)
    }
}

impl<S> Layer<S> for ValidationLayer {
    type Service = Validated<S>;

    fn layer(&self, inner: S) -> Validated<S> {
        Validated { inner, validation: self.validation.clone() }
    }
}
