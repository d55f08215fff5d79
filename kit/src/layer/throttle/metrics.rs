//! What Prometheus is told of a throttle.

use super::{Throttle, ThrottleFigures};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

impl Throttle {
    /// Adds its figures to those of a service, as the series of one method: `kit_throttle_...`. A throttle that several methods share
    /// is told of once for each. The figures do not keep it alive: of one that is gone they are 0.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        let read = |read: fn(ThrottleFigures) -> f64| {
            let this = self.weak();
            move || this.figures().map_or(0.0, read)
        };
        let help = "Calls that were not sent, because the service refuses many.";
        metrics.counter_fn("kit_throttle_rejected_total", help, &labels, read(|now| now.rejected as f64))?;
        let help = "Share of the next calls that is not sent.";
        metrics.gauge_fn("kit_throttle_probability", help, &labels, read(|now| now.probability))?;
        let help = "Calls in the window, those that were not sent among them.";
        metrics.gauge_fn("kit_throttle_requests", help, &labels, read(|now| now.requests as f64))?;
        let help = "Calls in the window that the service took.";
        metrics.gauge_fn("kit_throttle_accepts", help, &labels, read(|now| now.accepts as f64))
    }
}
