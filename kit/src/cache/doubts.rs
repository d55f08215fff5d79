//! Keys whose change the store could not be told.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// More than an instance changes while its store is away for a moment; some hundred kilobytes.
const MOST: usize = 1024;

/// Keys for which the store may hold an answer that is known to be old. Until it was told, this process does not believe it.
///
/// Bounded: past [`MOST`] keys nothing is believed any more, until all that was saved before is over by its time to live.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number tells one doubt from a later one about the same key.
    keys: HashMap<String, u64>,
    count: u64,
    everything_until: Option<Instant>,
}

/// What to do about a key.
#[derive(Debug, PartialEq)]
pub(super) enum Doubt {
    None,
    /// The store has to be told about this key before it is believed about the key that was asked for.
    Tell {
        key: String,
        number: u64,
    },
    /// The store is not to be asked.
    Everything,
}

impl Doubts {
    /// Notes that a key changed and the store does not know. `ttl` is the longest that an old answer can live.
    pub(super) fn add(&self, key: &str, ttl: Duration) {
        let mut state = self.state();
        state.count += 1;
        let number = state.count;
        if state.keys.len() < MOST || state.keys.contains_key(key) {
            state.keys.insert(key.to_owned(), number);
        } else {
            state.keys.clear();
            state.everything_until = Some(Instant::now() + ttl);
        }
        if state.everything_until.is_some() {
            state.everything_until = Some(Instant::now() + ttl);
        }
        self.any.store(true, Ordering::Release);
    }

    /// What is in doubt: the key itself first, otherwise any other, so that all are told in the end.
    pub(super) fn about(&self, key: &str) -> Doubt {
        if !self.any.load(Ordering::Acquire) {
            return Doubt::None;
        }
        let mut state = self.state();
        if let Some(until) = state.everything_until {
            if Instant::now() < until {
                return Doubt::Everything;
            }
            state.everything_until = None;
        }
        let found = state.keys.get_key_value(key).or_else(|| state.keys.iter().next());
        let found = found.map(|(key, number)| Doubt::Tell { key: key.clone(), number: *number });
        found.unwrap_or_else(|| {
            self.any.store(false, Ordering::Release);
            Doubt::None
        })
    }

    /// The store knows of the change.
    pub(super) fn settled(&self, key: &str, number: u64) {
        let mut state = self.state();
        if state.keys.get(key) == Some(&number) {
            state.keys.remove(key);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[test]
    fn a_key_is_in_doubt_until_the_store_was_told_of_its_last_change() {
        let doubts = Doubts::default();
        assert_eq!(doubts.about("a"), Doubt::None);
        doubts.add("a", TTL);
        let Doubt::Tell { key, number } = doubts.about("b") else { panic!() };
        assert_eq!(key, "a", "whoever comes by helps");
        doubts.add("a", TTL);
        doubts.settled(&key, number);
        let Doubt::Tell { key, number: again } = doubts.about("a") else { panic!("changed again meanwhile") };
        assert!(again > number);
        doubts.settled(&key, again);
        assert_eq!(doubts.about("a"), Doubt::None);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_doubts_are_doubt_about_everything_for_a_time_to_live() {
        let doubts = Doubts::default();
        for number in 0..=MOST {
            doubts.add(&number.to_string(), TTL);
        }
        assert!(doubts.state().keys.is_empty());
        assert_eq!(doubts.about("other"), Doubt::Everything);
        tokio::time::advance(TTL / 2).await;
        doubts.add("late", TTL);
        tokio::time::advance(TTL - Duration::from_millis(1)).await;
        assert_eq!(doubts.about("other"), Doubt::Everything, "counted from the last one");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(matches!(doubts.about("other"), Doubt::Tell { key, .. } if key == "late"));
    }
}
