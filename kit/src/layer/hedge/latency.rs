//! How long calls of a method take: a quantile over the last half to full minute.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Half of what is looked back on at most: long enough for a slow method to have its samples, short enough to follow a change.
const WINDOW: Duration = Duration::from_secs(30);
/// The quantile is found anew after so many samples: reading all buckets costs as much as some dozens of them.
const EVERY: u32 = 16;

/// Powers of two from 1024 ns, each in eight: bounds are 12.5 % apart or less. The last one ends after 137 s.
const BUCKETS: usize = 25 * 8;
/// The largest unit of 1024 ns that has a bucket.
const LARGEST: u64 = (1 << 27) - 1;

type Counts = [u32; BUCKETS];

#[derive(Debug)]
pub(super) struct Latencies {
    // Locked for the addition of one sample, and now and then for a walk through 200 numbers; never across an await.
    window: Mutex<Window>,
    /// Nanoseconds; 0 while it is not known.
    quantile: AtomicU64,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    current: Box<Counts>,
    before: Box<Counts>,
    samples: u32,
    samples_before: u32,
}

impl Latencies {
    pub(super) fn new(now: Instant) -> Self {
        let empty = || Box::new([0; BUCKETS]);
        let window = Window { since: now, current: empty(), before: empty(), samples: 0, samples_before: 0 };
        Self { window: Mutex::new(window), quantile: AtomicU64::new(0) }
    }

    /// The quantile as of the last samples; `None` while there were too few.
    pub(super) fn quantile(&self) -> Option<Duration> {
        match self.quantile.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Adds how long a call took.
    pub(super) fn record(&self, now: Instant, took: Duration, quantile: f64, min_samples: u32) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let rotated = window.rotate(now);
        if let Some(count) = window.current.get_mut(bucket(took)) {
            *count = count.saturating_add(1);
        }
        window.samples = window.samples.saturating_add(1);
        let samples = window.samples.saturating_add(window.samples_before);
        if rotated || samples == min_samples || samples.is_multiple_of(EVERY) {
            let found = if samples < min_samples { 0 } else { window.quantile(samples, quantile) };
            self.quantile.store(found, Ordering::Relaxed);
        }
    }

    /// How many samples it knows.
    pub(super) fn samples(&self) -> u32 {
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.samples.saturating_add(window.samples_before)
    }
}

impl Window {
    /// Forgets what is old.
    fn rotate(&mut self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        if age < WINDOW {
            return false;
        }
        std::mem::swap(&mut self.current, &mut self.before);
        self.samples_before = self.samples;
        self.current.fill(0);
        self.samples = 0;
        if age >= 2 * WINDOW {
            // Nobody called for so long that the last samples are old, too.
            self.before.fill(0);
            self.samples_before = 0;
        }
        self.since = now;
        true
    }

    fn quantile(&self, samples: u32, quantile: f64) -> u64 {
        let wanted = (f64::from(samples) * quantile).ceil() as u64;
        let mut seen = 0_u64;
        for (at, (now, before)) in self.current.iter().zip(self.before.iter()).enumerate() {
            seen += u64::from(*now) + u64::from(*before);
            if seen >= wanted.max(1) {
                return upper_bound(at);
            }
        }
        upper_bound(BUCKETS - 1)
    }
}

fn bucket(took: Duration) -> usize {
    let units = (u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) >> 10).min(LARGEST);
    if units < 8 {
        return units as usize;
    }
    let exponent = units.ilog2();
    let eighth = (units >> (exponent - 3)) & 7;
    (exponent as usize - 2) * 8 + eighth as usize
}

/// In nanoseconds.
fn upper_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 8 {
        return (bucket + 1) << 10;
    }
    let (octave, eighth) = (bucket / 8 - 1, bucket % 8);
    (9 + eighth) << octave << 10
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn near(found: Option<Duration>, wanted: Duration) -> bool {
        found.is_some_and(|found| found >= wanted && found <= wanted.mul_f64(1.126))
    }

    #[tokio::test(start_paused = true)]
    async fn a_quantile_takes_enough_samples() {
        let start = Instant::now();
        let latencies = Latencies::new(start);
        for n in 1..=99 {
            latencies.record(start, n * MS, 0.95, 100);
        }
        assert_eq!(latencies.quantile(), None);
        latencies.record(start, 100 * MS, 0.95, 100);
        assert!(near(latencies.quantile(), 95 * MS), "{:?}", latencies.quantile());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_forgotten() {
        let start = Instant::now();
        let latencies = Latencies::new(start);
        let record = |after: Duration, took| {
            for _ in 0..160 {
                latencies.record(start + after, took, 0.95, 100);
            }
        };
        record(Duration::ZERO, 100 * MS);
        record(Duration::from_secs(30), MS);
        assert!(near(latencies.quantile(), 100 * MS), "half of them are still slow");
        record(Duration::from_secs(60), MS);
        assert!(near(latencies.quantile(), MS), "{:?}", latencies.quantile());
        assert_eq!(latencies.samples(), 320);
        latencies.record(start + Duration::from_secs(600), MS, 0.95, 100);
        assert_eq!((latencies.quantile(), latencies.samples()), (None, 1));
    }

    proptest! {
        #[test]
        fn every_time_has_a_bucket(nanos in prop_oneof![any::<u64>(), 0..200_000_000_000_u64, 0..20_000_u64]) {
            let at = bucket(Duration::from_nanos(nanos));
            prop_assert!(at < BUCKETS);
            let below = if at == 0 { 0 } else { upper_bound(at - 1) };
            let nanos = nanos.min(LARGEST << 10);
            prop_assert!(below <= nanos && nanos < upper_bound(at), "{nanos} in {below}..{}", upper_bound(at));
        }
    }
}
