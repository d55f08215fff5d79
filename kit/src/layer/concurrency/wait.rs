use std::{
    future::Future,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context as TaskContext, Poll, ready},
};

use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    limiter::{Permit, Place, Turn},
    refusal::Why,
};
use crate::Error;

/// Waits for a permit. Dropping it leaves the queue; a permit that was on its way goes to the next.
#[derive(Debug)]
pub(crate) struct Wait {
    // Before the receiver: what leaves the queue is told nothing any more, so no permit is sent in vain.
    place: Place,
    turn: oneshot::Receiver<Turn>,
    since: Instant,
    end: Option<(Pin<Box<Sleep>>, Why)>,
}

impl Wait {
    pub(super) fn new(
        place: Place,
        turn: oneshot::Receiver<Turn>,
        since: Instant,
        patience: Option<Instant>,
        deadline: Option<Instant>,
    ) -> Self {
        let end = match (patience, deadline) {
            (Some(patience), Some(deadline)) if patience < deadline => Some((patience, Why::Waited)),
            (_, Some(deadline)) => Some((deadline, Why::Late)),
            (Some(patience), None) => Some((patience, Why::Waited)),
            (None, None) => None,
        };
        Self { place, turn, since, end: end.map(|(end, why)| (Box::pin(sleep_until(end)), why)) }
    }
}

impl Future for Wait {
    type Output = Result<Permit, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        // The turn first: one that comes at the last moment is in time.
        if let Poll::Ready(turn) = Pin::new(&mut self.turn).poll(cx) {
            let shared = &self.place.shared;
            return Poll::Ready(match turn {
                Ok(Turn::Granted(permit)) => {
                    let waited = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    shared.counts.waited.fetch_add(1, Ordering::Relaxed);
                    shared.counts.waited_nanoseconds.fetch_add(waited, Ordering::Relaxed);
                    Ok(permit)
                }
                // The queue lives as long as the place does, so nobody drops the other end without a word.
                Ok(Turn::Displaced) | Err(_) => Err(shared.refuse(Why::Displaced)),
            });
        }
        let why = match &mut self.end {
            Some((end, why)) => {
                ready!(end.as_mut().poll(cx));
                *why
            }
            None => return Poll::Pending,
        };
        if self.place.leave() {
            return Poll::Ready(Err(self.place.shared.refuse(why)));
        }
        // Its turn has come, and is just being told: that wakes this task.
        Poll::Pending
    }
}
