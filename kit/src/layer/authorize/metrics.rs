//! What Prometheus is told of refused calls.

use std::sync::atomic::Ordering::Relaxed;

use super::Authorize;
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

impl Authorize {
    /// Adds what is refused of a method to the figures of its service: `kit_authorize_denied_total`.
    ///
    /// # Errors
    /// As [`Metrics::counter_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        let denied = self.cell(method);
        let help = "Calls that their callers may not make.";
        metrics.counter_fn("kit_authorize_denied_total", help, &labels, move || denied.load(Relaxed) as f64)
    }
}
