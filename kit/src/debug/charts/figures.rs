//! What is known of each method at a moment.

use std::{borrow::Cow, collections::HashMap};

use crate::telemetry::metrics::{Durations, Metrics, Side};

/// The shares of calls whose durations are drawn.
const SHARES: [f64; 3] = [0.5, 0.9, 0.99];

/// The figures of one method at a moment.
#[derive(Clone, Debug)]
pub(in crate::debug) struct MethodSample {
    /// Which side of the call.
    pub(super) side: Side,
    /// The service with its package: `details.BookDetails`.
    pub(super) service: Cow<'static, str>,
    /// The method.
    pub(super) method: Cow<'static, str>,
    /// Calls that are over, since the start of the process.
    pub(super) calls: u64,
    /// Those of them that failed by our fault or an upstream's.
    pub(super) errors: u64,
    /// Calls that run.
    pub(super) in_flight: i64,
    /// What 50, 90 and 99 % of the calls that ended since the sample before did not exceed, in seconds; `None` without calls.
    pub(super) quantiles: [Option<f64>; 3],
}

/// Where the charts have the figures of methods from: [`Metrics`], and what tests put in its place.
pub(in crate::debug) trait FiguresSource: Send + 'static {
    /// The figures of now. Asked once a second, on a thread of the runtime: it must not wait for anything.
    fn sample(&mut self) -> Vec<MethodSample>;
}

/// A method on one side of its calls.
pub(super) type Key = (bool, Cow<'static, str>, Cow<'static, str>);

impl MethodSample {
    pub(super) fn key(&self) -> Key {
        (self.side == Side::Server, self.service.clone(), self.method.clone())
    }
}

/// The figures that the middleware counts.
pub(in crate::debug) struct FromMetrics {
    metrics: Metrics,
    earlier: HashMap<Key, Durations>,
}

impl FromMetrics {
    pub(in crate::debug) fn new(metrics: Metrics) -> Self {
        Self { metrics, earlier: HashMap::new() }
    }
}

impl FiguresSource for FromMetrics {
    fn sample(&mut self) -> Vec<MethodSample> {
        let methods = self.metrics.methods();
        let mut now = HashMap::with_capacity(methods.len());
        let mut samples = Vec::with_capacity(methods.len());
        for figures in methods {
            let mut sample = MethodSample {
                side: figures.side,
                service: figures.service,
                method: figures.method,
                calls: figures.calls,
                errors: figures.errors,
                in_flight: i64::try_from(figures.in_flight).unwrap_or(i64::MAX),
                quantiles: [None; 3],
            };
            let key = sample.key();
            let recent = match self.earlier.get(&key) {
                Some(earlier) => figures.durations.since(earlier),
                None => figures.durations.clone(),
            };
            sample.quantiles = SHARES.map(|share| recent.quantile(share));
            now.insert(key, figures.durations);
            samples.push(sample);
        }
        self.earlier = now;
        samples
    }
}
