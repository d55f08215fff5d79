use std::sync::Arc;

use tower::Layer;

use super::{Fault, FaultService, handle::Faults};
use crate::{LayerInfo, Method};

/// Makes faults in the calls of a method.
#[derive(Clone, Debug)]
pub struct FaultLayer {
    pub(crate) faults: Option<Arc<Faults>>,
}

impl FaultLayer {
    /// For a method.
    pub fn new(fault: &Fault, method: &Method) -> Self {
        Self { faults: Some(Arc::new(Faults::new(fault, method))) }
    }

    /// No faults, at no cost and with no way to turn them on: for a chain whose type has the layer whether there are faults or not.
    pub fn none() -> Self {
        Self { faults: None }
    }

    /// What the layer tells of itself, with a way to change it while it runs: an object with settings, in which `null` brings a default
    /// back. A change holds for all methods of the handle. `None` for a layer that makes no faults.
    pub fn info(&self) -> Option<LayerInfo> {
        let faults = self.faults.as_ref()?;
        let (settings, state, control) = (Arc::clone(faults), Arc::clone(faults), faults.fault.clone());
        let info = LayerInfo::live("fault", move || settings.settings());
        Some(info.with_state(move || state.state()).with_control(move |change| control.control(change)))
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = FaultService<S>;

    fn layer(&self, inner: S) -> FaultService<S> {
        FaultService::new(inner, self.faults.clone())
    }
}
