//! The generic cell rate algorithm: all that is known of a limit is the theoretical arrival time (TAT), the time at which
//! nothing is owed any more. A call that is admitted moves it on by the interval between two calls; one that would move it
//! further ahead than the burst allows is refused.
//!
//! Times are nanoseconds after some start.

use crate::sync::atomic::{AtomicU64, Ordering};

/// A minute. A debt that reaches further ahead than it can, by more than this, was made by a clock that has since gone back. By
/// less it is no proof: a thread may be held up for long between reading the clock and deciding, and what it decides must not
/// forgive what others owe.
pub(crate) const SLACK: u64 = 60_000_000_000;

/// How fast debts are paid, and how large they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The time that pays for one call. At least 1.
    pub(crate) interval: u64,
    /// The largest debt: as many intervals as calls may come at once. At least the interval.
    pub(crate) full: u64,
}

/// What was decided about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How long until the call would be admitted; 0: it is.
    pub(crate) wait: u64,
    /// How long until nothing is owed, this call included.
    pub(crate) debt: u64,
}

impl Rate {
    /// What is owed at `now`.
    #[inline]
    pub(crate) fn owed(self, tat: u64, now: u64) -> u64 {
        let owed = tat.saturating_sub(now);
        if owed > self.full.saturating_add(SLACK) { self.full } else { owed }
    }

    /// What a call at `now` makes of the TAT.
    #[inline]
    pub(crate) fn next(self, tat: u64, now: u64) -> (u64, Verdict) {
        // So that a clock which jumped to the end of time still has room for a debt.
        let now = now.min(u64::MAX - self.full);
        let owed = self.owed(tat, now);
        let debt = owed.saturating_add(self.interval);
        if debt <= self.full {
            return (now + debt, Verdict { wait: 0, debt });
        }
        // Nothing changes, unless the clock went back: then the debt is the largest there is, and gets paid from now on.
        let tat = if owed < tat.saturating_sub(now) { now + owed } else { tat };
        (tat, Verdict { wait: debt - self.full, debt: owed })
    }

    /// How many calls would be admitted at once, with such a debt.
    pub(crate) fn remaining(self, debt: u64) -> u64 {
        self.full.saturating_sub(debt) / self.interval.max(1)
    }
}

/// The TAT of one limit, shared by all who call.
#[derive(Debug)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// Nothing is owed.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Decides about a call at `now`.
    ///
    /// Relaxed, because nothing else is guarded by it: all threads see the changes of one atomic in one order.
    #[inline]
    pub(crate) fn take(&self, rate: Rate, now: u64) -> Verdict {
        let mut tat = self.0.load(Ordering::Relaxed);
        loop {
            let (next, verdict) = rate.next(tat, now);
            if next == tat {
                return verdict;
            }
            match self.0.compare_exchange_weak(tat, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return verdict,
                Err(seen) => tat = seen,
            }
        }
    }

    /// What is owed at `now`.
    pub(crate) fn owed(&self, rate: Rate, now: u64) -> u64 {
        rate.owed(self.0.load(Ordering::Relaxed), now)
    }

    /// Sets what is owed at `now`.
    pub(crate) fn set(&self, debt: u64, now: u64) {
        self.0.store(now.saturating_add(debt), Ordering::Relaxed);
    }

    /// Forgives what is owed beyond the largest debt of a rate: for one that was changed.
    pub(crate) fn clamp(&self, rate: Rate, now: u64) {
        self.0.fetch_min(now.saturating_add(rate.full), Ordering::Relaxed);
    }
}
