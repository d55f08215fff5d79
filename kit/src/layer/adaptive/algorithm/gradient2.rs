use std::time::Duration;

use super::{Limit, Sample, is_used};

/// Netflix' default: what varies by less than half is taken for noise.
pub(in crate::layer::adaptive) const TOLERANCE: f64 = 1.5;

/// Netflix' default.
pub(in crate::layer::adaptive) const SMOOTHING: f64 = 0.2;

/// Netflix' default, there in samples: a minute, with windows of 100 ms.
pub(in crate::layer::adaptive) const LONG_WINDOW: u32 = 600;

/// Netflix' default: the calls that may wait somewhere behind the limit, which is also what lets it grow.
const WAITING: f64 = 4.0;

/// The first windows make a plain average: the very first call may be one that connects.
const WARMUP: u32 = 10;

/// The limit sinks to a half at most in one step, before smoothing.
const STEEPEST: f64 = 0.5;

/// When calls take less than half as long as of late, what they took of late is forgotten faster, by this factor a window.
const FORGET: f64 = 0.95;

/// Compares how long calls take with how long they took of late.
///
/// While they take at most `tolerance` times as long, the limit grows slowly; beyond that it sinks in proportion. Where calls take
/// long because the limit is too high for long, "of late" gets used to it: [`rebase`](Limit::rebase) is against that.
#[derive(Clone, Copy, Debug)]
pub struct Gradient2 {
    limit: f64,
    tolerance: f64,
    smoothing: f64,
    long: Average,
}

impl Gradient2 {
    /// Begins at `limit`; `long_window` is how many windows "of late" is.
    pub fn new(limit: f64, tolerance: f64, smoothing: f64, long_window: u32) -> Self {
        Self { limit, tolerance, smoothing, long: Average { value: 0.0, count: 0, window: long_window } }
    }
}

impl Limit for Gradient2 {
    fn update(&mut self, sample: &Sample) -> f64 {
        let short = sample.rtt.as_secs_f64();
        if sample.dropped {
            // Those that were dropped have no time that could be compared.
            self.limit *= 1.0 - (1.0 - STEEPEST) * self.smoothing;
            return self.limit;
        }
        if short <= 0.0 {
            return self.limit;
        }
        let long = self.long.add(short);
        if long > short * 2.0 {
            self.long.value *= FORGET;
        }
        if is_used(sample.in_flight, self.limit) {
            let gradient = (self.tolerance * long / short).clamp(STEEPEST, 1.0);
            let estimate = self.limit * gradient + WAITING;
            self.limit += (estimate - self.limit) * self.smoothing;
        }
        self.limit
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit;
    }

    fn rebase(&mut self, rtt: Duration) {
        let rtt = rtt.as_secs_f64();
        if rtt > 0.0 {
            self.long.value = rtt;
        }
    }
}

/// An average that forgets.
#[derive(Clone, Copy, Debug)]
struct Average {
    value: f64,
    count: u32,
    window: u32,
}

impl Average {
    fn add(&mut self, value: f64) -> f64 {
        if self.count < WARMUP {
            self.count += 1;
            self.value += (value - self.value) / f64::from(self.count);
        } else {
            self.value += (value - self.value) * 2.0 / (f64::from(self.window) + 1.0);
        }
        self.value
    }
}
