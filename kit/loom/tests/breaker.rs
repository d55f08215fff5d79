//! What a breaker shares without locks: the ceiling, the leases of probes, the window.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![allow(dead_code, unreachable_pub, reason = "the files are those of kit, which uses all of them")]

mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
    pub(crate) use std::sync::PoisonError;
}

#[path = "../../src/layer/breaker/gate.rs"]
mod gate;
#[path = "../../src/layer/breaker/tally.rs"]
mod tally;
#[path = "../../src/layer/breaker/window.rs"]
mod window;

use gate::{BreakerState, Gate, Passed};
use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};
use tally::Tally;
use window::{Bad, Figures, Shape, Window};

/// Runs a test in all orders in which its threads are interrupted at most three times.
fn check(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn no_more_than_the_ceiling_run_and_none_is_refused_below_it() {
    check(|| {
        let (tally, inside) = (Arc::new(Tally::new()), Arc::new(AtomicU64::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (tally, inside) = (Arc::clone(&tally), Arc::clone(&inside));
                thread::spawn(move || {
                    let entered = tally.enter(1);
                    if entered {
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "one at a time");
                        inside.fetch_sub(1, SeqCst);
                        tally.leave_judged();
                    }
                    entered
                })
            })
            .collect();
        let entered = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|entered| *entered).count();
        assert!(entered >= 1);
        assert_eq!((tally.running(), tally.judged()), (0, entered as u64));
    });
}

#[test]
fn no_more_probes_than_configured_run_and_each_ends_once() {
    check(|| {
        let gate = Arc::new(Gate::new());
        let era = gate.turn(BreakerState::HalfOpen).era();
        let inside = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = [true, false]
            .into_iter()
            .map(|passes| {
                let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                thread::spawn(move || {
                    if gate.lease(1, 2).is_none() {
                        return 0;
                    }
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "one probe at a time");
                    inside.fetch_sub(1, SeqCst);
                    if passes {
                        assert_eq!(gate.pass(era, 2), Passed::NotYet);
                        return 1;
                    }
                    gate.give_back(era);
                    0
                })
            })
            .collect();
        let passed: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        let now = gate.now();
        assert_eq!((now.leased(), now.passed()), (0, passed));
    });
}

#[test]
fn of_probes_that_end_together_one_is_the_last_that_is_needed() {
    check(|| {
        let gate = Arc::new(Gate::new());
        let era = gate.turn(BreakerState::HalfOpen).era();
        gate.lease(2, 2).unwrap();
        gate.lease(2, 2).unwrap();
        let other = Arc::clone(&gate);
        let thread = thread::spawn(move || other.pass(era, 2));
        let both = [gate.pass(era, 2), thread.join().unwrap()];
        assert_eq!(both.iter().filter(|passed| **passed == Passed::Enough).count(), 1);
    });
}

#[test]
fn a_lease_ends_with_its_era() {
    check(|| {
        let gate = Arc::new(Gate::new());
        let era = gate.turn(BreakerState::HalfOpen).era();
        gate.lease(1, 1).unwrap();
        let other = Arc::clone(&gate);
        let thread = thread::spawn(move || other.pass(era, 1));
        gate.turn(BreakerState::Open);
        thread.join().unwrap();
        let now = gate.now();
        assert_eq!((now.state(), now.leased(), now.passed()), (BreakerState::Open, 0, 0));
    });
}

const FAILED: Bad = Bad { failed: true, slow: false };

#[test]
fn the_window_counts_every_call() {
    for shape in [Shape::Calls(8), Shape::Time { width: 10, buckets: 2 }] {
        check(move || {
            let window = Arc::new(Window::new(shape));
            let threads: Vec<_> = [true, false]
                .into_iter()
                .map(|good| {
                    let window = Arc::clone(&window);
                    thread::spawn(move || {
                        assert!(window.tally.enter(8));
                        if good {
                            window.good(|| 12);
                        } else {
                            window.bad(FAILED, 0, 12).unwrap();
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(window.figures(12), Figures { calls: 2, failures: 1, slow: 0 });
            assert_eq!(window.tally.running(), 0);
        });
    }
}

#[test]
fn whoever_moves_the_window_loses_nothing_that_is_new() {
    check(|| {
        let window = Arc::new(Window::new(Shape::Time { width: 10, buckets: 1 }));
        assert!(window.tally.enter(8));
        window.bad(FAILED, 0, 5).unwrap();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let window = Arc::clone(&window);
                thread::spawn(move || {
                    assert!(window.tally.enter(8));
                    window.good(|| 15);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        // The old failure is out; both new calls are in, whoever was the first.
        assert_eq!(window.figures(15), Figures { calls: 2, failures: 0, slow: 0 });
    });
}

#[test]
fn a_good_call_sees_no_fewer_failures_than_there_are() {
    check(|| {
        let window = Arc::new(Window::new(Shape::Calls(4)));
        assert!(window.tally.enter(8));
        window.bad(FAILED, 0, 0).unwrap();
        let other = Arc::clone(&window);
        let thread = thread::spawn(move || {
            assert!(other.tally.enter(8));
            other.bad(FAILED, 0, 0).unwrap();
        });
        assert!(window.tally.enter(8));
        assert!(window.good(|| 0).failures >= 1);
        thread.join().unwrap();
        assert_eq!(window.figures(0), Figures { calls: 3, failures: 2, slow: 0 });
    });
}
