use std::time::Duration;

use super::{Limit, Sample, is_used};

/// Netflix' default: each overload takes a tenth of the limit.
pub(in crate::layer::adaptive) const BACKOFF: f64 = 0.9;

/// Netflix' default.
pub(in crate::layer::adaptive) const SLOW: Duration = Duration::from_secs(5);

/// Additive increase, multiplicative decrease, as TCP Reno: one more with each good window, a share less with each that has an
/// overload or is slow.
///
/// It needs somebody who says when it is too much: a server that refuses, or a time beyond which a call is too slow.
#[derive(Clone, Copy, Debug)]
pub struct Aimd {
    limit: f64,
    backoff: f64,
    slow: Duration,
}

impl Aimd {
    /// Begins at `limit`; `backoff` is what is left of it after an overload, `slow` the time that a call may take.
    pub fn new(limit: f64, backoff: f64, slow: Duration) -> Self {
        Self { limit, backoff, slow }
    }
}

impl Limit for Aimd {
    fn update(&mut self, sample: &Sample) -> f64 {
        if sample.dropped || sample.rtt > self.slow {
            self.limit *= self.backoff;
        } else if is_used(sample.in_flight, self.limit) {
            self.limit += 1.0;
        }
        self.limit
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit;
    }
}
