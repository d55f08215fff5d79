//! What a throttle shares without locks: its counts.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![allow(dead_code, unreachable_pub, reason = "the file is that of kit, which uses all of it")]

mod sync {
    pub(crate) use loom::sync::{Mutex, atomic};
    pub(crate) use std::sync::PoisonError;
}

#[path = "../../src/layer/throttle/history.rs"]
mod history;

use history::{Counts, History};
use loom::{sync::Arc, thread};

#[test]
fn there_are_never_more_refusals_than_calls() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let history = Arc::new(History::new(10, 1));
        history.count(false);
        history.count(true);
        let other = Arc::clone(&history);
        let thread = thread::spawn(move || {
            // This begins a bucket, and forgets the first.
            other.counts(10);
            other.count(true);
        });
        let counts = history.counts(5);
        assert!(counts.refused <= counts.requests, "{counts:?}");
        thread.join().unwrap();
        assert_eq!(history.counts(10), Counts { requests: 1, refused: 1 });
    });
}
