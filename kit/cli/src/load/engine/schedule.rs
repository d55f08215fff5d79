//! When calls begin.

use crate::load::protocol::Nanos;

const SECOND: f64 = 1e9;

/// The times of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Calls that begin from here on are counted.
    pub(super) measure: Nanos,
    /// No call begins from here on.
    pub(super) end: Nanos,
}

/// Calls at a fixed rate.
#[derive(Debug)]
pub(super) struct Schedule {
    first: Nanos,
    rate: f64,
    made: u64,
}

impl Schedule {
    pub(super) fn new(first: Nanos, rate: f64) -> Self {
        Self { first, rate, made: 0 }
    }

    fn next(&self) -> Nanos {
        // Counted from the start each time: nothing adds up.
        self.first + (self.made as f64 * SECOND / self.rate) as Nanos
    }

    /// When the next call is due, and the end of time when none is.
    pub(super) fn due(&self, end: Nanos) -> Nanos {
        let due = self.next();
        if due < end { due } else { Nanos::MAX }
    }

    /// The next call, if its time has come.
    pub(super) fn take(&mut self, now: Nanos, end: Nanos) -> Option<Nanos> {
        let due = self.next();
        if due > now || due >= end {
            return None;
        }
        self.made += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::{Nanos, Schedule};

    #[test]
    fn calls_are_due_at_even_distances_until_the_end() {
        let mut schedule = Schedule::new(1_000, 3.0);
        assert_eq!((schedule.take(999, Nanos::MAX), schedule.due(Nanos::MAX)), (None, 1_000));
        let end = 1_000_001_000;
        let due: Vec<_> = std::iter::from_fn(|| schedule.take(Nanos::MAX, end)).collect();
        assert_eq!(due, [1_000, 333_334_333, 666_667_666]);
        assert_eq!(schedule.due(end), Nanos::MAX);
    }
}
