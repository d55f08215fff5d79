use std::sync::Arc;

use super::Validation;
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

impl Validation {
    /// Adds the figure of the check to those of its service: `kit_validation_rejected_total`, with the labels `rpc_service`,
    /// `rpc_method` and `side`. A check that stands around several methods is shown once for each of them that this is called for,
    /// each time as a whole.
    ///
    /// # Errors
    /// As [`Metrics::counter_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        let help =
            "Requests that were refused, and streams that were ended, because a message broke the rules of its fields.";
        // A check that is gone is kept alive by no figure.
        let shared = Arc::downgrade(&self.0);
        metrics.counter_fn("kit_validation_rejected_total", help, &labels, move || {
            shared.upgrade().map_or(0.0, |shared| Self(shared).rejected() as f64)
        })
    }
}
