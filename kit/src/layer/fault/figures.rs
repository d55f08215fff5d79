use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

/// What was done to the calls of one method since the layer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultFigures {
    /// Calls that were delayed.
    pub delays: u64,
    /// Calls that were answered with an error.
    pub aborts: u64,
    /// Calls that would have been delayed, and were not because so many waited.
    pub skipped: u64,
}

impl FaultFigures {
    pub(super) fn to_json(self) -> Value {
        json!({ "delays": self.delays, "aborts": self.aborts, "skipped": self.skipped })
    }
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    delays: AtomicU64,
    aborts: AtomicU64,
    skipped: AtomicU64,
}

impl Figures {
    pub(super) fn delayed(&self) {
        self.delays.fetch_add(1, Relaxed);
    }

    pub(super) fn aborted(&self) {
        self.aborts.fetch_add(1, Relaxed);
    }

    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> FaultFigures {
        FaultFigures {
            delays: self.delays.load(Relaxed),
            aborts: self.aborts.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
        }
    }
}
