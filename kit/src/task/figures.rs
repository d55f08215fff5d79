//! What is known of the tasks so far.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The most names: a name is a literal in the code, so a program with more of them makes them at run time.
const NAMES: usize = 1000;
/// What comes after that is counted under this one.
const OTHERS: &str = "(others)";

/// The figures of all tasks of one name since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskFigures {
    /// What the tasks do.
    pub name: String,
    /// Those that run.
    pub running: u64,
    /// Those that were started.
    pub spawned: u64,
    /// Those that came to their end.
    pub finished: u64,
    /// Those that panicked.
    pub panicked: u64,
    /// Those that were not started: too many ran, or the service stopped.
    pub refused: u64,
}

#[derive(Default)]
pub(super) struct Figures {
    running: Arc<AtomicU64>,
    // Locked when a task starts and when somebody reads; never while one runs.
    names: Mutex<BTreeMap<&'static str, Arc<OfName>>>,
}

#[derive(Default)]
pub(super) struct OfName {
    running: AtomicU64,
    spawned: AtomicU64,
    finished: AtomicU64,
    panicked: AtomicU64,
    refused: AtomicU64,
}

impl Figures {
    pub(super) fn of(&self, name: &'static str) -> Arc<OfName> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if names.len() < NAMES || names.contains_key(name) { name } else { OTHERS };
        Arc::clone(names.entry(name).or_default())
    }

    pub(super) fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Those of all names that panicked, and those that were refused.
    #[cfg(feature = "metrics")]
    pub(super) fn panicked_and_refused(&self) -> (u64, u64) {
        let all = self.all();
        (all.iter().map(|task| task.panicked).sum(), all.iter().map(|task| task.refused).sum())
    }

    pub(super) fn all(&self) -> Vec<TaskFigures> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let figures = |(name, of): (&&'static str, &Arc<OfName>)| TaskFigures {
            name: (*name).to_owned(),
            running: read(&of.running),
            spawned: read(&of.spawned),
            finished: read(&of.finished),
            panicked: read(&of.panicked),
            refused: read(&of.refused),
        };
        names.iter().map(figures).collect()
    }
}

impl OfName {
    /// Counts a task that starts, unless `limit` tasks of all names run.
    pub(super) fn start(self: &Arc<Self>, all: &Figures, limit: u64) -> Option<Count> {
        let one_more = |running: u64| (running < limit).then_some(running + 1);
        all.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        self.running.fetch_add(1, Ordering::Relaxed);
        self.spawned.fetch_add(1, Ordering::Relaxed);
        Some(Count { of: Arc::clone(self), all: Arc::clone(&all.running) })
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// One task that runs, for as long as the value lives.
pub(super) struct Count {
    of: Arc<OfName>,
    all: Arc<AtomicU64>,
}

impl Count {
    pub(super) fn finished(&self) {
        self.of.finished.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn panicked(&self) {
        self.of.panicked.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.of.running.fetch_sub(1, Ordering::Relaxed);
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let figures = Figures::default();
        for number in 0..NAMES + 5 {
            figures.of(Box::leak(number.to_string().into_boxed_str())).refused();
        }
        let all = figures.all();
        assert_eq!(all.len(), NAMES + 1);
        assert_eq!(all.iter().find(|of| of.name == OTHERS).unwrap().refused, 5);
        assert_eq!(all.iter().map(|of| of.refused).sum::<u64>(), NAMES as u64 + 5);
    }
}
