//! The compare-and-swap loop of the rate limit.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod sync {
    pub(crate) use loom::sync::atomic;
}

#[allow(dead_code, reason = "what has no loop is not tried here")]
#[path = "../../src/layer/rate_limit/gcra.rs"]
mod gcra;

use gcra::{Cell, Rate};
use loom::{sync::Arc, thread};

/// How many of these calls are admitted, each by a thread of its own at its time.
fn admitted(rate: Rate, times: &'static [u64]) -> usize {
    let cell = Arc::new(Cell::new());
    let (first, others) = times.split_first().unwrap();
    let threads: Vec<_> = others
        .iter()
        .map(|now| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || usize::from(cell.take(rate, *now).wait == 0))
        })
        .collect();
    let ours = usize::from(cell.take(rate, *first).wait == 0);
    threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>() + ours
}

#[test]
fn no_slot_is_given_twice_and_none_is_lost() {
    loom::model(|| {
        // Two at once, for three who come together.
        assert_eq!(admitted(Rate { interval: 10, full: 20 }, &[5, 5, 5]), 2);
    });
}

#[test]
fn threads_that_come_late_take_no_more_than_there_is() {
    loom::model(|| {
        // One at a time, each 10: those at 3 and 7 are one too many, in every order; the one at 14 may come before or after.
        let admitted = admitted(Rate { interval: 10, full: 10 }, &[3, 7, 14]);
        assert!((1..=2).contains(&admitted), "{admitted}");
    });
}

#[test]
fn a_change_of_the_rate_forgives_while_calls_are_made() {
    loom::model(|| {
        let (slow, fast) = (Rate { interval: 1_000, full: 1_000 }, Rate { interval: 10, full: 10 });
        let cell = Arc::new(Cell::new());
        assert_eq!(cell.take(slow, 0).wait, 0);
        let other = Arc::clone(&cell);
        let changed = thread::spawn(move || other.clamp(fast, 0));
        let _ = cell.take(fast, 0);
        changed.join().unwrap();
        assert!(cell.owed(fast, 0) <= fast.full);
        assert_eq!(cell.take(fast, 10).wait, 0);
    });
}
