use super::{Concurrency, ConcurrencyFigures, limiter::Limiter};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

impl Concurrency {
    /// Adds the figures of the limit to those of its service: `kit_concurrency_...`. A limit that stands around several
    /// methods is shown once for each of them that this is called for, each time as a whole.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        observe(&self.limiter, metrics, "kit_concurrency", method, side)
    }
}

type Read = fn(&ConcurrencyFigures) -> f64;

/// The series of any limit, with `prefix` as the beginning of their names.
pub(crate) fn observe(
    limiter: &Limiter,
    metrics: &Metrics,
    prefix: &str,
    method: &Method,
    side: Side,
) -> Result<(), Error> {
    let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
    // The figures of a limit that is gone stay at 0 and keep nothing alive.
    let read = |read: Read| {
        let limiter = limiter.downgrade();
        move || Limiter::upgrade(&limiter).map_or(0.0, |limiter| read(&limiter.figures()))
    };
    let gauges: [(&str, &str, Read); 3] = [
        ("limit", "How many calls may run at once.", |figures| figures.limit.into()),
        ("in_flight", "Calls that run, streams until their end.", |figures| figures.in_flight.into()),
        ("queued", "Calls that wait for their turn.", |figures| figures.queued.into()),
    ];
    for (name, help, figure) in gauges {
        metrics.gauge_fn(&format!("{prefix}_{name}"), help, &labels, read(figure))?;
    }
    let counters: [(&str, &str, Read); 2] = [
        ("waited_total", "Calls that ran after they had waited.", |figures| figures.waited as f64),
        ("wait_seconds_total", "How long those waited.", |figures| figures.waiting_time.as_secs_f64()),
    ];
    for (name, help, figure) in counters {
        metrics.counter_fn(&format!("{prefix}_{name}"), help, &labels, read(figure))?;
    }
    let reasons: [(&str, Read); 3] = [
        ("full", |figures| figures.full as f64),
        ("displaced", |figures| figures.displaced as f64),
        ("timed_out", |figures| figures.timed_out as f64),
    ];
    for (reason, figure) in reasons {
        let [service, method, side] = labels;
        let labels = [service, method, side, ("reason", reason)];
        let help = "Calls that were refused by the limit.";
        metrics.counter_fn(&format!("{prefix}_rejected_total"), help, &labels, read(figure))?;
    }
    Ok(())
}
