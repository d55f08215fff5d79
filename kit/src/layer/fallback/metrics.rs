use std::sync::{Arc, atomic::Ordering};

use super::Fallback;
use crate::{
    Error, Method, Payload,
    telemetry::metrics::{Metrics, Side},
};

const NAME: &str = "kit_fallback_calls_total";

const HELP: &str = "Calls that failed and have a fallback: it answered, failed too, was late (the deadline had passed), was given up \
                    by the caller; and all calls too large to have one.";

impl<Req: Payload, Res: Payload> Fallback<Req, Res> {
    /// Adds what it counts to the figures of its service, as those of a method: `kit_fallback_calls_total`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        for (at, (outcome, _)) in self.figures().all().into_iter().enumerate() {
            let labels = [
                ("rpc_service", &*method.service),
                ("rpc_method", &*method.name),
                ("side", side.name()),
                ("outcome", outcome),
            ];
            let figures = Arc::clone(self.figures());
            let read = move || figures.all().get(at).map_or(0.0, |(_, figure)| figure.load(Ordering::Relaxed) as f64);
            metrics.counter_fn(NAME, HELP, &labels, read)?;
        }
        Ok(())
    }
}
