use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Hedge, layer::Figures};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

type Read = fn(&Figures) -> &AtomicU64;

impl Hedge {
    /// Adds what is counted of a method to the figures of its service: `kit_hedge_...`. What was counted stays when the hedges are
    /// gone; the delay is 0 then.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let watched = self.watched(method);
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        let [service, name, side] = labels;
        let outcomes: [(&str, Read); 3] =
            [("won", |figures| &figures.won), ("lost", |figures| &figures.lost), ("failed", |figures| &figures.failed)];
        for (outcome, read) in outcomes {
            let help = "Requests of calls beyond the first, by what became of them.";
            let watched = Arc::clone(&watched);
            metrics.counter_fn(
                "kit_hedge_attempts_total",
                help,
                &[service, name, side, ("outcome", outcome)],
                move || read(&watched.figures).load(Ordering::Relaxed) as f64,
            )?;
        }
        let (help, counted) = ("Requests that the retry budget did not pay for.", Arc::clone(&watched));
        metrics.counter_fn("kit_hedge_budget_exhausted_total", help, &labels, move || {
            counted.figures.exhausted.load(Ordering::Relaxed) as f64
        })?;
        // The settings are nobody's any more when the hedges are gone.
        let (help, config) =
            ("After what time a second request is sent; 0 while that is not known.", Arc::downgrade(&self.config));
        metrics.gauge_fn("kit_hedge_delay_seconds", help, &labels, move || {
            let delay = config.upgrade().and_then(|config| watched.delay(&config.load()));
            delay.unwrap_or_default().as_secs_f64()
        })
    }
}
