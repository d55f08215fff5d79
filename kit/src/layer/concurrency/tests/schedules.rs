//! Any order of calls that come, go away, end and find the limit moved, against what must always hold.

use std::{future::Future as _, pin::Pin, task::Poll, time::Duration};

use futures_util::task::noop_waker;
use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::layer::concurrency::limiter::ConcurrencyFigures;

#[derive(Clone, Debug)]
enum Step {
    Come(Priority),
    /// One of those that wait looks whether its turn has come.
    Look(prop::sample::Index),
    /// One of those that wait goes away.
    Go(prop::sample::Index),
    /// One of those that run ends.
    End(prop::sample::Index),
    Limit(u32),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let class = prop::sample::select(Priority::ALL.to_vec());
    let any = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => class.prop_map(Step::Come),
        3 => any().prop_map(Step::Look),
        2 => any().prop_map(Step::Go),
        4 => any().prop_map(Step::End),
        1 => (1..6_u32).prop_map(Step::Limit),
        1 => (1..700_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..120)
}

struct World {
    limiter: Limiter,
    config: ConcurrencyConfig,
    limit: u32,
    running: Vec<Permit>,
    waiting: Vec<Wait>,
}

impl World {
    fn figures(&self) -> ConcurrencyFigures {
        self.limiter.figures()
    }

    fn take(&mut self, step: Step) {
        let before = self.figures();
        match step {
            Step::Come(class) => match enter(&self.limiter, class) {
                Entry::Admitted(permit) => {
                    let ceiling = *self.config.priority.ceilings(self.limit).of(class);
                    assert!(before.in_flight < ceiling, "{class:?} with {before:?}");
                    self.running.push(permit);
                }
                Entry::Waiting(wait) => self.waiting.push(wait),
                Entry::Refused(_) => {
                    assert!(before.queued as usize >= self.config.queue, "refused with {before:?}");
                }
            },
            Step::Look(at) if !self.waiting.is_empty() => self.look(at.index(self.waiting.len())),
            Step::Go(at) if !self.waiting.is_empty() => {
                self.waiting.remove(at.index(self.waiting.len()));
            }
            Step::End(at) if !self.running.is_empty() => {
                self.running.swap_remove(at.index(self.running.len()));
                assert!(self.figures().in_flight <= before.in_flight);
            }
            Step::Limit(limit) => {
                self.limit = limit;
                self.limiter.set_limit(limit);
            }
            _ => {}
        }
        self.check();
    }

    fn look(&mut self, at: usize) {
        let waker = noop_waker();
        let mut cx = std::task::Context::from_waker(&waker);
        match Pin::new(&mut self.waiting[at]).poll(&mut cx) {
            Poll::Ready(Ok(permit)) => self.running.push(permit),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return,
        }
        self.waiting.remove(at);
    }

    fn check(&self) {
        let now = self.figures();
        let ceilings = self.config.priority.ceilings(self.limit);
        // Those whose permit is on its way run, too.
        assert!(now.in_flight as usize >= self.running.len() && now.queued as usize <= self.waiting.len());
        assert!(now.queued as usize <= self.config.queue);
        if now.queued > 0 {
            // Nobody waits without a reason: a waiter of the least important class at least finds its share used up.
            assert!(now.in_flight >= ceilings.sheddable, "{now:?} under {}", self.limit);
            let first = self.limiter.first_class().unwrap();
            assert!(now.in_flight >= *ceilings.of(first), "{first:?} waits with {now:?} under {}", self.limit);
        }
    }
}

proptest! {
    #[test]
    fn no_schedule_breaks_the_limit(steps in steps(), max in 1..6_u32, queue in 0..6_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let config = config(max, queue);
            let limiter = Limiter::new(max, config.admission());
            let mut world = World { limiter, config, limit: max, running: Vec::new(), waiting: Vec::new() };
            let mut most = max;
            for step in steps {
                if let Step::Pass(milliseconds) = step {
                    advance(Duration::from_millis(milliseconds)).await;
                }
                if let Step::Limit(limit) = step {
                    most = limit.max(world.figures().in_flight);
                }
                world.take(step);
                // A limit that was lowered leaves those alone that ran; nobody comes beside them.
                let now = world.figures().in_flight;
                assert!(now <= most, "{now} of {most}");
                most = most.min(now.max(world.limit));
            }
            // Whatever happened, all that is left goes away, and all is free again.
            let World { limiter, running, waiting, .. } = world;
            drop(running);
            drop(waiting);
            let end = limiter.figures();
            assert_eq!((end.in_flight, end.queued), (0, 0));
        });
    }
}
