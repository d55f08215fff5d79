use std::task::{Context as TaskContext, Poll};

use tokio::time::Instant;
use tower::Service;

use super::{Breaker, machine::Ticket};
use crate::{
    Error, Payload, Request, Response,
    layer::track::{Outcome, Track, Tracked},
};

/// Makes the calls that a breaker lets through: see the [module](super).
#[derive(Clone, Debug)]
pub struct BreakerService<S> {
    inner: S,
    /// `None` where nothing is refused.
    breaker: Option<Breaker>,
}

impl<S> BreakerService<S> {
    pub(super) fn new(inner: S, breaker: Option<Breaker>) -> Self {
        Self { inner, breaker }
    }
}

impl<S, Req, Res> Service<Request<Req>> for BreakerService<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = Tracked<S::Future, Call>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(breaker) = &self.breaker else { return Tracked::new(self.inner.call(request), None) };
        match Call::start(breaker, request.context().deadline()) {
            Ok(call) => Tracked::new(self.inner.call(request), call),
            Err(refused) => Tracked::refused(refused),
        }
    }
}

/// A call that was let through. However it ends, its place and its probe are given back.
#[derive(Debug)]
pub struct Call {
    breaker: Breaker,
    ticket: Option<Ticket>,
    deadline: Option<Instant>,
    /// When it began and what is slow, while the first answer is not there.
    clock: Option<(Instant, u64)>,
    slow: bool,
}

impl Call {
    fn start(breaker: &Breaker, deadline: Option<Instant>) -> Result<Self, Error> {
        let ticket = breaker.admit()?;
        let clock = breaker.machine().slow_call().map(|limit| (Instant::now(), limit));
        Ok(Self { breaker: breaker.clone(), ticket: Some(ticket), deadline, clock, slow: false })
    }

    fn answered(&mut self) {
        if let Some((start, limit)) = self.clock.take() {
            self.slow = start.elapsed().as_nanos() > u128::from(limit);
        }
    }

    fn settle(&mut self, outcome: Outcome<'_>) {
        let Some(ticket) = self.ticket.take() else { return };
        self.answered();
        let end = self.breaker.judge(outcome, self.slow);
        self.breaker.machine().settle(ticket, end, || self.breaker.now());
    }
}

impl Track for Call {
    fn message<P: Payload>(&mut self, _: &P) {
        self.answered();
        // A stream may last for hours: as a probe its first message is enough.
        if let Some(ticket) = self.ticket.as_mut().filter(|ticket| ticket.probe) {
            let end = self.breaker.judge(Outcome::Answered, self.slow);
            self.breaker.machine().settle_probe(ticket, end, || self.breaker.now());
        }
    }

    fn streaming(&mut self) {
        self.answered();
    }

    fn end(mut self, outcome: Outcome<'_>) {
        let late = |deadline: &Instant| *deadline <= Instant::now();
        if matches!(outcome, Outcome::Dropped) && self.deadline.as_ref().is_some_and(late) {
            // Given up by a timeout outside of this layer: that is the service's failure, not a caller who went away.
            let error = Error::deadline_exceeded("the deadline of the call passed");
            self.settle(Outcome::Failed(&error));
        } else {
            self.settle(outcome);
        }
    }
}

impl Drop for Call {
    // A service that panics in `call` leaves it without an end.
    fn drop(&mut self) {
        self.settle(Outcome::Dropped);
    }
}
