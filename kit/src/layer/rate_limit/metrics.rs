//! What a limit tells Prometheus.

use std::sync::Arc;

use super::{RateLimit, RateLimitFigures, RateLimits, limit::scope};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

type Read = fn(&RateLimitFigures) -> u64;

const COUNTERS: [(&str, &str, Read); 4] = [
    ("kit_rate_limit_rejected_total", "Calls that were refused.", |figures| figures.rejected),
    ("kit_rate_limit_overflow_total", "Calls of keys for which there was no room.", |figures| figures.overflow),
    ("kit_rate_limit_shared_errors_total", "How often the store of shared limits failed.", |figures| {
        figures.shared_errors
    }),
    (
        "kit_rate_limit_shared_fallbacks_total",
        "Calls that were decided without the store of shared limits.",
        |figures| figures.shared_fallbacks,
    ),
];

impl RateLimit {
    /// Adds what the limit of a method does to the figures of its service: `kit_rate_limit_...`. The figures don't keep the
    /// limit alive; those of one that is gone are 0.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let weak = Arc::downgrade(&self.0);
        let figures = move || weak.upgrade().map_or_else(RateLimitFigures::default, |inner| Self(inner).figures());
        observe(metrics, method, side, &figures)
    }
}

impl RateLimits {
    /// The same for the limits of one method, all endpoints of it together that are in use.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let (weak, scope) = (self.weak(), scope(method));
        let figures = move || {
            let limits = weak.upgrade().map(|family| family.limits()).unwrap_or_default();
            let of_method = limits.iter().filter(|limit| limit.0.scope == scope);
            of_method.fold(RateLimitFigures::default(), |sum, limit| sum.plus(&limit.figures()))
        };
        observe(metrics, method, side, &figures)
    }
}

fn observe<F>(metrics: &Metrics, method: &Method, side: Side, figures: &F) -> Result<(), Error>
where
    F: Fn() -> RateLimitFigures + Clone + Send + Sync + 'static,
{
    let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
    for (name, help, read) in COUNTERS {
        let figures = figures.clone();
        metrics.counter_fn(name, help, &labels, move || read(&figures()) as f64)?;
    }
    let figures = figures.clone();
    metrics.gauge_fn("kit_rate_limit_keys", "Keys that are remembered.", &labels, move || figures().keys as f64)
}
