use tower::Layer;

use super::{Timeout, TimeoutLimits, service::Side};
use crate::LayerInfo;

/// Puts a deadline around a service.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    pub(crate) limits: TimeoutLimits,
    side: Side,
}

impl TimeoutLayer {
    /// For a method that is served: a call may take what the limits say, or what the caller allows if that is less. A deadline of
    /// the caller's that passes is no fault. `None` for what the caller allows.
    pub fn server(limits: impl Into<TimeoutLimits>) -> Self {
        Self { limits: limits.into(), side: Side::Server }
    }

    /// For a method that is called somewhere else: a call may take what the limits say, or what is left of the call that it belongs
    /// to if that is less. A deadline that passes is a fault: the upstream was too slow.
    pub fn client(limits: impl Into<TimeoutLimits>) -> Self {
        Self { limits: limits.into(), side: Side::Client }
    }

    /// What the layer tells of itself, with a way to change it while it runs: `{"timeout": "2s", "idle": "none"}`.
    pub fn info(&self) -> LayerInfo {
        self.limits.info()
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, limits: self.limits.clone(), side: self.side }
    }
}
