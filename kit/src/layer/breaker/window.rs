//! The last calls and how many of them were bad: the last N, or those of the last N seconds.
//!
//! A good call is one addition and a few readings, without a lock: its number says all there is to say of it. Bad calls, which cost
//! their service an error each, and the once in a while when a bucket of time ends, take a short lock.

use std::collections::VecDeque;

use super::tally::{Tally, distance};
use crate::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What the window spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// So many calls.
    Calls(u64),
    /// So many buckets of so many nanoseconds; the last one is not over yet.
    Time { width: u64, buckets: u64 },
}

/// What is wrong with a bad call: one of them, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// The calls of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

/// The window, and the count of calls that it is a part of.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) tally: Tally,
    /// The last call before the window.
    base: AtomicU64,
    /// The most calls that it spans.
    size: AtomicU64,
    /// When its last bucket ends.
    edge: AtomicU64,
    /// Bad calls as of the last look under the lock: never fewer than there are in the window.
    failures: AtomicU64,
    slow: AtomicU64,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Past {
    /// Whose calls these are: calls of other eras are not counted.
    era: u32,
    shape: Shape,
    /// Oldest first: bad calls one by one, or buckets.
    marks: VecDeque<Mark>,
    failures: u64,
    slow: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The number of the bad call, or that of the bucket.
    at: u64,
    /// The last call before the bucket.
    before: u64,
    failures: u64,
    slow: u64,
}

impl Window {
    pub(crate) fn new(shape: Shape) -> Self {
        let past = Past { era: 0, shape, marks: VecDeque::new(), failures: 0, slow: 0 };
        let window = Self {
            tally: Tally::new(),
            base: AtomicU64::new(0),
            size: AtomicU64::new(0),
            edge: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            past: Mutex::new(past),
        };
        window.reset(0, None);
        window
    }

    /// Begins anew, for the calls of an era; with another shape if one is given.
    pub(crate) fn reset(&self, era: u32, shape: Option<Shape>) {
        let past = &mut *self.lock();
        past.era = era;
        past.shape = shape.unwrap_or(past.shape);
        past.marks.clear();
        (past.failures, past.slow) = (0, 0);
        let (size, edge) = match past.shape {
            Shape::Calls(size) => (size, u64::MAX),
            // The first call finds that a bucket ended before all time, and begins one.
            Shape::Time { .. } => (u64::MAX, 0),
        };
        self.size.store(size, Relaxed);
        self.edge.store(edge, Relaxed);
        self.base.store(self.tally.judged(), Relaxed);
        self.publish(past);
    }

    /// Whether calls that end have to say when.
    #[inline]
    pub(crate) fn is_timed(&self) -> bool {
        self.edge.load(Relaxed) != u64::MAX
    }

    /// Counts a good call. What comes back may have bad calls too many that have left the window: `bad` says how many there are.
    #[inline]
    pub(crate) fn good(&self, now: impl FnOnce() -> u64) -> Figures {
        if self.is_timed() {
            let now = now();
            if now >= self.edge.load(Relaxed) {
                self.turn(now);
            }
        }
        let last = self.tally.leave_judged();
        let calls = distance(self.base.load(Relaxed), last).min(self.size.load(Relaxed));
        Figures { calls, failures: self.failures.load(Relaxed), slow: self.slow.load(Relaxed) }
    }

    /// Counts a bad call of an era; `None` if that is over.
    pub(crate) fn bad(&self, bad: Bad, era: u32, now: u64) -> Option<Figures> {
        let past = &mut *self.lock();
        if past.era != era {
            self.tally.leave();
            return None;
        }
        let mark = Mark { at: 0, before: 0, failures: u64::from(bad.failed), slow: u64::from(bad.slow) };
        past.failures += mark.failures;
        past.slow += mark.slow;
        match past.shape {
            Shape::Calls(_) => {
                // Numbered under the lock, so that the marks stay in order.
                let at = self.tally.leave_judged();
                past.marks.push_back(Mark { at, ..mark });
            }
            Shape::Time { .. } => {
                self.rotate(past, now);
                self.tally.leave_judged();
                if let Some(bucket) = past.marks.back_mut() {
                    bucket.failures += mark.failures;
                    bucket.slow += mark.slow;
                }
            }
        }
        Some(self.exact(past, now))
    }

    /// The calls of the window now.
    pub(crate) fn figures(&self, now: u64) -> Figures {
        self.exact(&mut self.lock(), now)
    }

    fn exact(&self, past: &mut Past, now: u64) -> Figures {
        let calls = match past.shape {
            Shape::Calls(size) => {
                let last = self.tally.judged();
                while past.marks.front().is_some_and(|mark| distance(mark.at, last) >= size) {
                    past.forget();
                }
                distance(self.base.load(Relaxed), last).min(size)
            }
            Shape::Time { .. } => {
                self.rotate(past, now);
                distance(self.base.load(Relaxed), self.tally.judged())
            }
        };
        self.publish(past);
        Figures { calls, failures: past.failures, slow: past.slow }
    }

    #[cold]
    fn turn(&self, now: u64) {
        self.rotate(&mut self.lock(), now);
    }

    /// Begins the bucket of `now` and lets go of those that are too old.
    fn rotate(&self, past: &mut Past, now: u64) {
        let Shape::Time { width, buckets } = past.shape else { return };
        let index = now / width.max(1);
        // Somebody else was quicker, or has a later time.
        if past.marks.back().is_some_and(|last| last.at >= index) {
            return;
        }
        let judged = self.tally.judged();
        past.marks.push_back(Mark { at: index, before: judged, failures: 0, slow: 0 });
        while past.marks.front().is_some_and(|oldest| oldest.at.saturating_add(buckets) <= index) {
            past.forget();
        }
        self.base.store(past.marks.front().map_or(judged, |oldest| oldest.before), Relaxed);
        self.edge.store(index.saturating_add(1).saturating_mul(width.max(1)), Relaxed);
        self.publish(past);
    }

    fn publish(&self, past: &Past) {
        self.failures.store(past.failures, Relaxed);
        self.slow.store(past.slow, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn forget(&mut self) {
        if let Some(mark) = self.marks.pop_front() {
            self.failures = self.failures.saturating_sub(mark.failures);
            self.slow = self.slow.saturating_sub(mark.slow);
        }
    }
}
