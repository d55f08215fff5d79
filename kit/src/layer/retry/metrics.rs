use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{RetryLayer, layer::Figures};
use crate::{Error, telemetry::metrics::Metrics};

type Read = fn(&Figures) -> &AtomicU64;

impl RetryLayer {
    /// Adds what the layer counts to the figures of its service: `kit_retry_...`, with the labels `rpc_service` and
    /// `rpc_method`. Nothing for a layer that retries nothing.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let Some((method, figures)) = self.counted() else { return Ok(()) };
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name)];
        let [service, name] = labels;
        let outcomes: [(&str, Read); 3] = [
            ("answered", |figures| &figures.answered),
            ("failed", |figures| &figures.failed),
            ("cancelled", |figures| &figures.cancelled),
        ];
        for (outcome, read) in outcomes {
            let (help, figures) = ("Attempts of calls beyond the first, by how they ended.", Arc::clone(figures));
            metrics.counter_fn(
                "kit_retry_attempts_total",
                help,
                &[service, name, ("outcome", outcome)],
                move || read(&figures).load(Ordering::Relaxed) as f64,
            )?;
        }
        let (help, figures) = ("Attempts that the retry budget did not pay for.", Arc::clone(figures));
        metrics.counter_fn("kit_retry_budget_exhausted_total", help, &labels, move || {
            figures.exhausted.load(Ordering::Relaxed) as f64
        })
    }
}
