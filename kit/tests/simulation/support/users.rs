//! Users: they come whether or not those before them were answered, and don't wait for ever.

use std::time::Duration;

use kit::{Context, Endpoint};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Echo,
    record::{Tally, Trail},
    world::{exponential, millis},
};

/// What users saw.
#[derive(Clone)]
pub(crate) struct Users {
    start: Instant,
    patience: Duration,
    /// Calls that were begun.
    pub(crate) calls: Tally,
    /// Calls that were answered in time: the goodput.
    pub(crate) good: Tally,
    /// How many milliseconds those took, by when they ended.
    pub(crate) took: Trail,
}

impl Users {
    /// Nobody waits longer than `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { start: Instant::now(), patience, calls: Tally::new(), good: Tally::new(), took: Trail::default() }
    }

    /// Calls at random times, `rate(second)` times a second on average, until the simulation is so many seconds old. The
    /// endpoints take turns: each is a process of its own.
    pub(crate) async fn come(
        &self,
        seed: u64,
        until: f64,
        rate: impl Fn(f64) -> f64,
        endpoints: &[Endpoint<Echo, Echo>],
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut next = self.start;
        for endpoint in endpoints.iter().cycle() {
            next += exponential(&mut random, rate((next - self.start).as_secs_f64()));
            if (next - self.start).as_secs_f64() >= until {
                break;
            }
            sleep_until(next).await;
            tokio::spawn(self.clone().call(endpoint.clone()));
        }
        sleep_until(self.start + Duration::from_secs_f64(until)).await;
    }

    async fn call(self, endpoint: Endpoint<Echo, Echo>) {
        self.calls.add();
        let begun = Instant::now();
        let cx = Context::background().with_timeout(self.patience);
        // A moment more, so that it is the chain that gives up where there is one.
        let answer = timeout(self.patience + millis(2), endpoint.call_next(&cx, Echo::default())).await;
        if matches!(answer, Ok(Ok(_))) && begun.elapsed() <= self.patience {
            self.good.add();
            self.took.add(self.start.elapsed().as_secs_f64(), begun.elapsed().as_secs_f64() * 1e3);
        }
    }

    /// The share of the calls that were answered in time.
    pub(crate) fn share(&self, from: f64, to: f64) -> f64 {
        self.good.between(from, to) / self.calls.between(from, to).max(1.0)
    }
}
