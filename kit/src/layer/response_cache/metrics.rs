use std::sync::{Arc, atomic::Ordering};

use super::ResponseCache;
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

const NAME: &str = "kit_response_cache_calls_total";

const HELP: &str = "Calls of methods whose answers are kept: answered from the cache, made, by the call of another, by an old answer \
                    in the place of an error, or past the cache.";

impl ResponseCache {
    /// Adds what it does with a method to the figures of its service: `kit_response_cache_calls_total`, and what its store does as
    /// `kit_cache_...` with the name of the method as the label `cache`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let kept = self.method(method);
        for (at, (outcome, _)) in kept.figures.all().into_iter().enumerate() {
            let labels = [
                ("rpc_service", &*method.service),
                ("rpc_method", &*method.name),
                ("side", side.name()),
                ("outcome", outcome),
            ];
            let figures = Arc::clone(&kept.figures);
            let read = move || figures.all().get(at).map_or(0.0, |(_, figure)| figure.load(Ordering::Relaxed) as f64);
            metrics.counter_fn(NAME, HELP, &labels, read)?;
        }
        kept.entries.observe(metrics)
    }
}
