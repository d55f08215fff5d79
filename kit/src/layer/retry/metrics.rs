use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Retry, layer::Figures};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

type Read = fn(&Figures) -> &AtomicU64;

impl Retry {
    /// Adds what is counted of a method to the figures of its service: `kit_retry_...`. They stay when the retries are gone.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let figures = self.figures(method);
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        let [service, name, side] = labels;
        let outcomes: [(&str, Read); 3] = [
            ("answered", |figures| &figures.answered),
            ("failed", |figures| &figures.failed),
            ("cancelled", |figures| &figures.cancelled),
        ];
        for (outcome, read) in outcomes {
            let (help, figures) = ("Attempts of calls beyond the first, by how they ended.", Arc::clone(&figures));
            metrics.counter_fn(
                "kit_retry_attempts_total",
                help,
                &[service, name, side, ("outcome", outcome)],
                move || read(&figures).load(Ordering::Relaxed) as f64,
            )?;
        }
        let help = "Attempts that the retry budget did not pay for.";
        metrics.counter_fn("kit_retry_budget_exhausted_total", help, &labels, move || {
            figures.exhausted.load(Ordering::Relaxed) as f64
        })
    }
}
