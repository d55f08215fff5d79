//! How many calls there were in the last minutes, and how many the service refused. Times are nanoseconds, from any start.
//!
//! Counting is one addition for a call that was accepted, two for another; a lock is taken once a bucket.

use std::collections::VecDeque;

use crate::sync::{
    Mutex, PoisonError,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// The calls of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// Those of them that were not accepted.
    pub(crate) refused: u64,
}

#[derive(Debug)]
pub(crate) struct History {
    requests: AtomicU64,
    refused: AtomicU64,
    /// The same numbers when the window began.
    old_requests: AtomicU64,
    old_refused: AtomicU64,
    /// When the newest bucket ends.
    edge: AtomicU64,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Past {
    width: u64,
    buckets: u64,
    begun: VecDeque<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    index: u64,
    before: Counts,
}

impl History {
    /// The first bucket begins at 0.
    pub(crate) fn new(width: u64, buckets: u64) -> Self {
        let (width, buckets) = (width.max(1), buckets.max(1));
        let begun = VecDeque::from([Bucket { index: 0, before: Counts::default() }]);
        Self {
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            old_requests: AtomicU64::new(0),
            old_refused: AtomicU64::new(0),
            edge: AtomicU64::new(width),
            past: Mutex::new(Past { width, buckets, begun }),
        }
    }

    /// Begins anew, if the buckets are others.
    pub(crate) fn reshape(&self, width: u64, buckets: u64) {
        let past = &mut *self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if (past.width, past.buckets) != (width, buckets) {
            (past.width, past.buckets) = (width.max(1), buckets.max(1));
            past.begun.clear();
            self.edge.store(0, Relaxed);
            self.begin(self.total());
        }
    }

    /// A call is over: it goes into the newest bucket.
    #[inline]
    pub(crate) fn count(&self, refused: bool) {
        self.requests.fetch_add(1, Release);
        if refused {
            self.refused.fetch_add(1, Release);
        }
    }

    /// The calls of the window. While others count it has never too many refused for its requests.
    #[inline]
    pub(crate) fn counts(&self, now: u64) -> Counts {
        if now >= self.edge.load(Relaxed) {
            self.rotate(now);
        }
        let old_requests = self.old_requests.load(Acquire);
        let old_refused = self.old_refused.load(Acquire);
        let refused = self.refused.load(Acquire).saturating_sub(old_refused);
        let requests = self.requests.load(Acquire).saturating_sub(old_requests);
        Counts { requests, refused }
    }

    fn rotate(&self, now: u64) {
        let past = &mut *self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let index = now / past.width;
        if past.begun.back().is_some_and(|newest| newest.index >= index) {
            return;
        }
        past.begun.push_back(Bucket { index, before: self.total() });
        while past.begun.front().is_some_and(|oldest| oldest.index.saturating_add(past.buckets) <= index) {
            past.begun.pop_front();
        }
        if let Some(oldest) = past.begun.front() {
            self.begin(oldest.before);
        }
        self.edge.store(index.saturating_add(1).saturating_mul(past.width), Relaxed);
    }

    fn total(&self) -> Counts {
        let refused = self.refused.load(Acquire);
        Counts { requests: self.requests.load(Acquire), refused }
    }

    fn begin(&self, before: Counts) {
        // In the other order than they are read: with an old number of requests a new one of refusals is too few of them.
        self.old_refused.store(before.refused, Release);
        self.old_requests.store(before.requests, Release);
    }
}
