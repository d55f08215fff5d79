//! Time, chance and events of a simulation. All of it is the same for the same seed: one thread, a clock that jumps from timer to
//! timer, and chance from seeds only.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

/// Runs a simulation from its second zero.
pub(crate) fn run<T>(seed: u64, simulation: impl Future<Output = T>) -> T {
    // What the layers draw: jitter, backoff, the share of a throttle.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulation)
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A time between two events that come at random, `rate` of them in a second. Whole microseconds, so that the last digit of a
/// logarithm, which differs between machines, changes nothing.
pub(crate) fn exponential(random: &mut fastrand::Rng, rate: f64) -> Duration {
    let gap = -(1.0 - random.f64()).ln() / rate;
    Duration::from_micros((gap * 1e6).round() as u64)
}

/// Does something at a second of the simulation.
pub(crate) fn at(second: f64, event: impl FnOnce() + Send + 'static) {
    let when = Instant::now() + seconds(second);
    tokio::spawn(async move {
        sleep_until(when).await;
        event();
    });
}

/// Does something over and over, and tells it the second.
pub(crate) fn every(period: Duration, mut event: impl FnMut(f64) + Send + 'static) {
    let start = Instant::now();
    tokio::spawn(async move {
        loop {
            event(start.elapsed().as_secs_f64());
            sleep(period).await;
        }
    });
}
