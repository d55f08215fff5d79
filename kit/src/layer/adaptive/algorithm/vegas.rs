use std::time::Duration;

use super::{Limit, Sample, is_used};

/// Netflix' alpha and beta, in decades of the limit: with fewer calls that wait than the first the limit grows, with more than
/// the second it sinks.
const FEW: f64 = 3.0;
const MANY: f64 = 6.0;

/// As TCP Vegas: from how long calls take beyond the least that they take follows how many of them wait behind the limit, and
/// those are kept between a few and many: about 6 and 12 at a limit of 100.
///
/// The least time grows only by [`rebase`](Limit::rebase).
#[derive(Clone, Copy, Debug)]
pub struct Vegas {
    limit: f64,
    least: Option<Duration>,
}

impl Vegas {
    /// Begins at `limit`.
    pub fn new(limit: f64) -> Self {
        Self { limit, least: None }
    }
}

impl Limit for Vegas {
    fn update(&mut self, sample: &Sample) -> f64 {
        // At least one, so that small limits move, too.
        let step = self.limit.max(1.0).log10().max(1.0);
        if sample.dropped {
            self.limit -= step;
            return self.limit;
        }
        if sample.rtt.is_zero() {
            return self.limit;
        }
        let least = *self.least.insert(self.least.map_or(sample.rtt, |least| least.min(sample.rtt)));
        if !is_used(sample.in_flight, self.limit) {
            return self.limit;
        }
        let waiting = self.limit * (1.0 - least.as_secs_f64() / sample.rtt.as_secs_f64());
        if waiting <= step {
            // Far from any queue: faster.
            self.limit += MANY * step;
        } else if waiting < FEW * step {
            self.limit += step;
        } else if waiting > MANY * step {
            self.limit -= step;
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
        if !rtt.is_zero() {
            self.least = Some(rtt);
        }
    }
}
