//! What is written down while a simulation runs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

/// The points of a line: seconds, and a value.
pub(crate) type Points = Vec<(f64, f64)>;

/// Counts events by when they happen.
#[derive(Clone)]
pub(crate) struct Tally {
    start: Instant,
    width: Duration,
    counts: Arc<Mutex<Vec<u32>>>,
}

impl Tally {
    /// By the second.
    pub(crate) fn new() -> Self {
        Self::by(Duration::from_secs(1))
    }

    pub(crate) fn by(width: Duration) -> Self {
        Self { start: Instant::now(), width, counts: Arc::default() }
    }

    pub(crate) fn add(&self) {
        let bucket = (self.start.elapsed().as_nanos() / self.width.as_nanos()) as usize;
        let mut counts = self.counts.lock().unwrap();
        if counts.len() <= bucket {
            counts.resize(bucket + 1, 0);
        }
        counts[bucket] += 1;
    }

    /// All events from one second to another.
    pub(crate) fn between(&self, from: f64, to: f64) -> f64 {
        let index = |second: f64| (second / self.width.as_secs_f64()).round() as usize;
        let counts = self.counts.lock().unwrap();
        let counted: u32 = counts.iter().take(index(to)).skip(index(from)).sum();
        f64::from(counted)
    }

    /// Events in a second, on average.
    pub(crate) fn rate(&self, from: f64, to: f64) -> f64 {
        self.between(from, to) / (to - from)
    }

    /// The most in one bucket, and when.
    pub(crate) fn peak(&self, from: f64, to: f64) -> f64 {
        let width = self.width.as_secs_f64();
        let buckets = ((to - from) / width).round() as usize;
        (0..buckets)
            .map(|bucket| {
                let from = from + bucket as f64 * width;
                self.between(from, from + width)
            })
            .fold(0.0, f64::max)
    }

    /// One point a bucket, in its middle.
    pub(crate) fn points(&self, length: f64) -> Points {
        let width = self.width.as_secs_f64();
        let buckets = (length / width).round() as usize;
        let counts = self.counts.lock().unwrap();
        let count = |bucket: usize| counts.get(bucket).copied().map_or(0.0, f64::from);
        (0..buckets).map(|bucket| ((bucket as f64 + 0.5) * width, count(bucket))).collect()
    }
}

impl Tally {
    /// One point a second, in its middle.
    pub(crate) fn by_second(&self, length: f64) -> Points {
        let seconds = (0..length as u32).map(f64::from);
        seconds.map(|second| (second + 0.5, self.between(second, second + 1.0))).collect()
    }
}

/// A value that is looked at now and then.
#[derive(Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Points>>);

impl Trail {
    pub(crate) fn add(&self, second: f64, value: f64) {
        self.0.lock().unwrap().push((second, value));
    }

    pub(crate) fn points(&self) -> Points {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn values(&self, from: f64, to: f64) -> Vec<f64> {
        let within = |point: &&(f64, f64)| point.0 >= from && point.0 < to;
        self.0.lock().unwrap().iter().filter(within).map(|point| point.1).collect()
    }

    pub(crate) fn mean(&self, from: f64, to: f64) -> f64 {
        let values = self.values(from, to);
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }

    pub(crate) fn quantile(&self, from: f64, to: f64, quantile: f64) -> f64 {
        let mut values = self.values(from, to);
        values.sort_by(f64::total_cmp);
        let index = (values.len() as f64 * quantile) as usize;
        values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
    }

    /// A quantile of each stretch of so many seconds; none where nothing was seen.
    pub(crate) fn quantiles(&self, length: f64, width: f64, quantile: f64) -> Points {
        let stretches = (length / width).round() as usize;
        let begins = (0..stretches).map(|stretch| stretch as f64 * width);
        let seen = begins.filter(|from| !self.values(*from, from + width).is_empty());
        seen.map(|from| (from + width / 2.0, self.quantile(from, from + width, quantile))).collect()
    }
}
