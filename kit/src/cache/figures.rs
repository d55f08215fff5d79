//! What a cache has done.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`Cached`](super::Cached) has done since it was made: counters that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheFigures {
    /// Answers that were in the store.
    pub hits: u64,
    /// Answers that were not, or could not be asked for.
    pub misses: u64,
    /// Loads that began.
    pub loads: u64,
    /// Loads that failed; those that were cancelled are not among them.
    pub failed_loads: u64,
    /// Calls that got the outcome of a load that another call had begun.
    pub coalesced: u64,
    /// Loaded answers that were not kept, because what they were made of changed meanwhile or another process was faster.
    pub overtaken: u64,
    /// Loaded answers that were not kept because they are too large.
    pub oversized: u64,
    /// Values in the store that were not what was saved, or of another type: they are replaced.
    pub corrupt: u64,
    /// Commands that the store could not do, those that were not even tried among them.
    pub errors: u64,
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) loads: Counter,
    pub(super) failed_loads: Counter,
    pub(super) coalesced: Counter,
    pub(super) overtaken: Counter,
    pub(super) oversized: Counter,
    pub(super) corrupt: Counter,
    pub(super) errors: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Figures {
    pub(super) fn read(&self) -> CacheFigures {
        CacheFigures {
            hits: self.hits.get(),
            misses: self.misses.get(),
            loads: self.loads.get(),
            failed_loads: self.failed_loads.get(),
            coalesced: self.coalesced.get(),
            overtaken: self.overtaken.get(),
            oversized: self.oversized.get(),
            corrupt: self.corrupt.get(),
            errors: self.errors.get(),
        }
    }
}
