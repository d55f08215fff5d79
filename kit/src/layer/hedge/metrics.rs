use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{HedgeLayer, layer::Figures};
use crate::{Error, telemetry::metrics::Metrics};

type Read = fn(&Figures) -> &AtomicU64;

impl HedgeLayer {
    /// Adds what the layer counts to the figures of its service: `kit_hedge_...`, with the labels `rpc_service` and
    /// `rpc_method`. Nothing for a layer that hedges nothing.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let Some((method, shared)) = self.counted() else { return Ok(()) };
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name)];
        let [service, name] = labels;
        let outcomes: [(&str, Read); 3] =
            [("won", |figures| &figures.won), ("lost", |figures| &figures.lost), ("failed", |figures| &figures.failed)];
        for (outcome, read) in outcomes {
            let help = "Requests of calls beyond the first, by what became of them.";
            let figures = Arc::clone(&shared.figures);
            metrics.counter_fn(
                "kit_hedge_attempts_total",
                help,
                &[service, name, ("outcome", outcome)],
                move || read(&figures).load(Ordering::Relaxed) as f64,
            )?;
        }
        let (help, figures) = ("Requests that the retry budget did not pay for.", Arc::clone(&shared.figures));
        metrics.counter_fn("kit_hedge_budget_exhausted_total", help, &labels, move || {
            figures.exhausted.load(Ordering::Relaxed) as f64
        })?;
        // The settings are nobody's any more when the endpoint is gone.
        let (help, shared) =
            ("After what time a second request is sent; 0 while that is not known.", Arc::downgrade(shared));
        metrics.gauge_fn("kit_hedge_delay_seconds", help, &labels, move || {
            let delay = shared.upgrade().and_then(|shared| shared.delay(&shared.config()));
            delay.unwrap_or_default().as_secs_f64()
        })
    }
}
