use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Nothing is known.
const UNKNOWN: u64 = u64::MAX;

/// How many calls were done, and how long they took, in the parts of a window that slides.
///
/// Times are nanoseconds of any one clock.
#[derive(Debug)]
pub(super) struct Passes {
    /// How long a part is.
    part: AtomicU64,
    // The part that is being counted. A call that ends just when the next begins may be counted in either.
    current: AtomicU64,
    count: AtomicU64,
    time: AtomicU64,
    // Locked once a part.
    past: Mutex<Past>,
    /// How many calls the service can work on at once, as the bits of an `f64`.
    capacity: AtomicU64,
}

/// What was counted, and how many parts of it are kept.
#[derive(Debug)]
struct Past {
    parts: u64,
    counted: VecDeque<Part>,
}

/// A part that is over, and had calls.
#[derive(Clone, Copy, Debug)]
struct Part {
    number: u64,
    count: f64,
    mean: f64,
}

impl Passes {
    pub(super) fn new(window: Duration, parts: u32) -> Self {
        Self {
            part: AtomicU64::new(part(window, parts)),
            current: AtomicU64::new(0),
            count: AtomicU64::new(0),
            time: AtomicU64::new(0),
            past: Mutex::new(Past { parts: parts.into(), counted: VecDeque::new() }),
            capacity: AtomicU64::new(UNKNOWN),
        }
    }

    /// Begins anew with another window. What is counted in this moment may be counted in either.
    pub(super) fn reshape(&self, window: Duration, parts: u32) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.parts = parts.into();
        past.counted.clear();
        self.part.store(part(window, parts), Ordering::Relaxed);
        for cell in [&self.current, &self.count, &self.time] {
            cell.store(0, Ordering::Relaxed);
        }
        self.capacity.store(UNKNOWN, Ordering::Relaxed);
    }

    /// A call was done.
    #[inline]
    pub(super) fn record(&self, now: u64, took: u64) {
        self.turn(now);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.time.fetch_add(took, Ordering::Relaxed);
    }

    /// How many calls the service worked on at once when it did most, without those that waited; `None` when there were no
    /// calls.
    pub(super) fn capacity(&self, now: u64) -> Option<f64> {
        self.turn(now);
        Some(self.capacity.load(Ordering::Relaxed)).filter(|bits| *bits != UNKNOWN).map(f64::from_bits)
    }

    /// Begins a new part when it is time to.
    #[inline]
    fn turn(&self, now: u64) {
        let number = now / self.part.load(Ordering::Relaxed);
        if number > self.current.load(Ordering::Relaxed) {
            self.begin(now);
        }
    }

    #[cold]
    fn begin(&self, now: u64) {
        let past = &mut *self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let part = self.part.load(Ordering::Relaxed);
        // Counted here, in parts that are as long as they are now.
        let number = now / part;
        let current = self.current.load(Ordering::Relaxed);
        if number <= current {
            return;
        }
        let (count, time) = (self.count.swap(0, Ordering::Relaxed), self.time.swap(0, Ordering::Relaxed));
        if count > 0 {
            past.counted.push_back(Part { number: current, count: count as f64, mean: time as f64 / count as f64 });
        }
        self.current.store(number, Ordering::Relaxed);
        while past.counted.front().is_some_and(|part| number - part.number > past.parts) {
            past.counted.pop_front();
        }
        let most = past.counted.iter().map(|part| part.count).fold(0.0, f64::max);
        let least = past.counted.iter().map(|part| part.mean).fold(f64::INFINITY, f64::min);
        let capacity = if past.counted.is_empty() { UNKNOWN } else { (most * least / part as f64).to_bits() };
        self.capacity.store(capacity, Ordering::Relaxed);
    }
}

/// How long a part of a window is.
fn part(window: Duration, parts: u32) -> u64 {
    u64::try_from(window.as_nanos() / u128::from(parts.max(1))).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of 100 ns, ten of them.
    fn passes() -> Passes {
        Passes::new(Duration::from_nanos(1000), 10)
    }

    #[test]
    fn capacity_is_the_most_calls_times_the_least_time() {
        let passes = passes();
        assert_eq!(passes.capacity(0), None);
        for _ in 0..20 {
            passes.record(50, 40);
        }
        assert_eq!(passes.capacity(99), None, "the part is not over");
        assert_eq!(passes.capacity(100), Some(8.0));
        // Fewer and slower calls change nothing for as long as the better ones are known.
        for _ in 0..10 {
            passes.record(150, 90);
        }
        assert_eq!(passes.capacity(200), Some(8.0));
        assert_eq!(passes.capacity(1000), Some(8.0));
        assert_eq!(passes.capacity(1100), Some(9.0));
        assert_eq!(passes.capacity(1200), None);
    }

    #[test]
    fn a_clock_that_jumps_does_no_harm() {
        let passes = passes();
        passes.record(u64::MAX, 100);
        passes.record(5, 100);
        passes.record(0, 100);
        assert_eq!(passes.capacity(u64::MAX), None);
        assert_eq!(passes.capacity(0), None);
    }
}
