//! How many calls run and how many wait, in one number: so that a place that becomes free and a call that begins to wait can't
//! miss each other.

use crate::sync::atomic::{AtomicU64, Ordering};

/// One call that runs.
const RUNS: u64 = 1;
/// One call that waits.
const WAITS: u64 = 1 << 32;

/// Counts; who waits, and in which order, is known to a queue behind a lock.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU64);

const fn running(state: u64) -> u32 {
    // The lower half.
    state as u32
}

const fn waiting(state: u64) -> u32 {
    (state >> 32) as u32
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn running(&self) -> u32 {
        running(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn waiting(&self) -> u32 {
        waiting(self.0.load(Ordering::Relaxed))
    }

    /// Lets a call begin when nobody waits and fewer than `ceiling` run: how many run with it.
    #[inline]
    pub(crate) fn enter(&self, ceiling: u32) -> Option<u32> {
        self.change(|state| (waiting(state) == 0 && running(state) < ceiling).then(|| state + RUNS))
    }

    /// Lets a call begin before those that wait. For the holder of the queue's lock, who knows that they are lesser.
    pub(crate) fn overtake(&self, ceiling: u32) -> Option<u32> {
        self.change(|state| (running(state) < ceiling).then(|| state + RUNS))
    }

    /// A call is over. Whether somebody waits for its place: then the queue has to be asked who is next.
    #[inline]
    pub(crate) fn leave(&self) -> bool {
        waiting(self.0.fetch_sub(RUNS, Ordering::AcqRel)) > 0
    }

    /// A call begins to wait. For the holder of the queue's lock.
    pub(crate) fn wait(&self) {
        self.0.fetch_add(WAITS, Ordering::AcqRel);
    }

    /// A call waits no longer, and does not run. For the holder of the queue's lock.
    pub(crate) fn give_up(&self) {
        self.0.fetch_sub(WAITS, Ordering::AcqRel);
    }

    /// Lets a call begin that waits, when fewer than `ceiling` run. For the holder of the queue's lock.
    pub(crate) fn grant(&self, ceiling: u32) -> Option<u32> {
        self.change(|state| (waiting(state) > 0 && running(state) < ceiling).then(|| state + RUNS - WAITS))
    }

    #[inline]
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> Option<u32> {
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let next = change(state)?;
            match self.0.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(running(next)),
                Err(now) => state = now,
            }
        }
    }
}
