//! A line a second on a terminal.

use std::io::{self, Write as _};

use hdrhistogram::Histogram;

use super::{
    protocol::{Nanos, Outcome},
    report::time,
    stats::histogram,
};

const SECOND: Nanos = 1_000_000_000;

/// The figures of the second that is running.
#[derive(Debug)]
pub(super) struct Progress {
    since: Nanos,
    ended: u64,
    errors: u64,
    latency: Histogram<u64>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { since: 0, ended: 0, errors: 0, latency: histogram() }
    }

    pub(super) fn ended(&mut self, outcome: &Outcome, latency: Nanos) {
        self.ended += 1;
        match outcome {
            Outcome::Ok => self.latency.saturating_record(latency),
            _ => self.errors += 1,
        }
    }

    pub(super) fn tick(&mut self, now: Nanos, in_flight: usize) {
        let passed = now.saturating_sub(self.since);
        if passed < SECOND {
            return;
        }
        let rate = self.ended as f64 * SECOND as f64 / passed as f64;
        let (p50, p99) = (self.latency.value_at_quantile(0.5), self.latency.value_at_quantile(0.99));
        let _ = writeln!(
            io::stderr(),
            "{:>5}s  {rate:>9.0} calls/s  {in_flight:>7} in flight  {:>7} errors  p50 {:>8}  p99 {:>8}",
            now / SECOND,
            self.errors,
            time(p50),
            time(p99),
        );
        (self.since, self.ended, self.errors) = (now, 0, 0);
        self.latency.reset();
    }
}
