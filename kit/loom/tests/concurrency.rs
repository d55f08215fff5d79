//! The gate of a concurrency limit, with a queue behind a lock as `kit::layer::concurrency` has it.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![allow(unreachable_pub, dead_code, reason = "a file of another crate")]

use std::collections::VecDeque;

use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

mod sync {
    pub(crate) use loom::sync::atomic;
}

#[path = "../../src/layer/concurrency/gate.rs"]
mod gate;

use gate::Gate;

/// Gate and queue, put together as the limiter does it.
struct Limit {
    gate: Gate,
    ceiling: AtomicU32,
    queue: Mutex<VecDeque<Arc<AtomicBool>>>,
    running: AtomicU32,
}

impl Limit {
    fn new(ceiling: u32) -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(),
            ceiling: AtomicU32::new(ceiling),
            queue: Mutex::new(VecDeque::new()),
            running: AtomicU32::new(0),
        })
    }

    fn ceiling(&self) -> u32 {
        self.ceiling.load(Ordering::Relaxed)
    }

    /// `None` when the call runs at once; what is set when its turn comes.
    fn enter(&self) -> Option<Arc<AtomicBool>> {
        if self.gate.enter(self.ceiling()).is_some() {
            return None;
        }
        let turn = Arc::new(AtomicBool::new(false));
        {
            let mut queue = self.queue.lock().unwrap();
            if queue.is_empty() && self.gate.overtake(self.ceiling()).is_some() {
                return None;
            }
            queue.push_back(turn.clone());
            self.gate.wait();
        }
        self.hand_on();
        Some(turn)
    }

    fn hand_on(&self) {
        while self.gate.waiting() > 0 {
            let turn = {
                let mut queue = self.queue.lock().unwrap();
                if queue.is_empty() || self.gate.grant(self.ceiling()).is_none() {
                    return;
                }
                queue.pop_front().unwrap()
            };
            turn.store(true, Ordering::Release);
        }
    }

    /// Whether it left before its turn came.
    fn go_away(&self, turn: &Arc<AtomicBool>) -> bool {
        let mut queue = self.queue.lock().unwrap();
        let before = queue.len();
        queue.retain(|other| !Arc::ptr_eq(other, turn));
        let left = queue.len() < before;
        if left {
            self.gate.give_up();
        }
        left
    }

    fn leave(&self) {
        if self.gate.leave() {
            self.hand_on();
        }
    }

    fn run(&self, most: u32) {
        let running = self.running.fetch_add(1, Ordering::Relaxed);
        assert!(running < most, "{running} ran already");
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whoever waits is served when the others have ended, and the limit holds all the time.
#[test]
fn nobody_is_forgotten_and_the_limit_holds() {
    loom::model(|| {
        let limit = Limit::new(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let limit = limit.clone();
                loom::thread::spawn(move || match limit.enter() {
                    None => {
                        limit.run(1);
                        limit.leave();
                        None
                    }
                    waits => waits,
                })
            })
            .collect();
        let waiting: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        // One of the two ran; the other ran too, or has its turn by now.
        for turn in &waiting {
            assert!(turn.load(Ordering::Acquire), "it waits, and nobody runs");
            limit.leave();
        }
        assert_eq!((limit.gate.running(), limit.gate.waiting()), (0, 0));
    });
}

/// A waiter that goes away in the moment in which its turn comes: one of the two happens, and nothing is lost.
#[test]
fn going_away_and_being_next_exclude_each_other() {
    loom::model(|| {
        let limit = Limit::new(1);
        assert!(limit.enter().is_none());
        let turn = limit.enter().unwrap();
        let ends = {
            let limit = limit.clone();
            loom::thread::spawn(move || limit.leave())
        };
        if !limit.go_away(&turn) {
            // Its turn had come, so the place is given back.
            limit.leave();
        }
        ends.join().unwrap();
        assert_eq!((limit.gate.running(), limit.gate.waiting()), (0, 0));
    });
}

/// A limit that is raised finds those who begin to wait in that moment.
#[test]
fn a_raised_limit_lets_those_begin_that_wait() {
    loom::model(|| {
        let limit = Limit::new(1);
        assert!(limit.enter().is_none());
        let comes = {
            let limit = limit.clone();
            loom::thread::spawn(move || limit.enter())
        };
        {
            let _turn = limit.queue.lock().unwrap();
            limit.ceiling.store(2, Ordering::Relaxed);
        }
        limit.hand_on();
        if let Some(turn) = comes.join().unwrap() {
            assert!(turn.load(Ordering::Acquire), "it waits below the limit");
        }
        assert_eq!((limit.gate.running(), limit.gate.waiting()), (2, 0));
    });
}
