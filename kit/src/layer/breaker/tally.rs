//! How many calls run, and how many were judged: one number, so that the end of a call is one addition.

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The lower bits count the calls that run, the others those that were judged.
pub(super) const RUNNING_BITS: u32 = 20;
const ONE_JUDGED: u64 = 1 << RUNNING_BITS;
const RUNNING: u64 = ONE_JUDGED - 1;

/// More calls than this never run at once, whatever is configured: half of what the bits hold, so that those who are about to be
/// refused can't overflow them.
pub(crate) const MOST_RUNNING: u32 = 1 << (RUNNING_BITS - 1);

/// The counter of judged calls comes round: its numbers are compared by [`distance`] alone.
pub(super) const JUDGED: u64 = u64::MAX >> RUNNING_BITS;

/// How far a number of a judged call is behind a later one.
#[inline]
pub(crate) fn distance(earlier: u64, later: u64) -> u64 {
    later.wrapping_sub(earlier) & JUDGED
}

/// The counter. Every [`enter`](Self::enter) that succeeds is followed by one of the two ways to leave.
#[derive(Debug)]
pub(crate) struct Tally(pub(super) AtomicU64);

impl Tally {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A call begins, unless `ceiling` run already.
    #[inline]
    pub(crate) fn enter(&self, ceiling: u32) -> bool {
        // With the ceiling that nobody set an addition does, which never has to be tried again.
        if ceiling >= MOST_RUNNING {
            let before = self.0.fetch_add(1, Relaxed);
            if before & RUNNING < u64::from(MOST_RUNNING) {
                return true;
            }
            self.0.fetch_sub(1, Relaxed);
            return false;
        }
        let mut now = self.0.load(Relaxed);
        while now & RUNNING < u64::from(ceiling) {
            match self.0.compare_exchange_weak(now, now.wrapping_add(1), Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(newer) => now = newer,
            }
        }
        false
    }

    /// A call is over, and says nothing.
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// A call is over and is judged: its number, from 1 on.
    #[inline]
    pub(crate) fn leave_judged(&self) -> u64 {
        let before = self.0.fetch_add(ONE_JUDGED - 1, Relaxed);
        (before >> RUNNING_BITS).wrapping_add(1) & JUDGED
    }

    /// The calls that run.
    pub(crate) fn running(&self) -> u64 {
        self.0.load(Relaxed) & RUNNING
    }

    /// The number of the last judged call.
    pub(crate) fn judged(&self) -> u64 {
        self.0.load(Relaxed) >> RUNNING_BITS
    }
}
