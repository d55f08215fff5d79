use std::{
    borrow::Borrow,
    task::{Context as TaskContext, Poll},
};

use tokio::time::Instant;
use tower::Service;

use super::{Breaker, machine::Ticket};
use crate::{
    Code, Context, Error, Payload, Request, Response,
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
        match Call::start(breaker, request.context(), Instant::now) {
            Ok(call) => {
                let call = call.keep();
                Tracked::new(self.inner.call(request), call)
            }
            Err(refused) => Tracked::refused(refused),
        }
    }
}

/// A call that was let through. However it ends, its place and its probe are given back.
#[derive(Debug)]
pub struct Call<B: Borrow<Breaker> = Breaker> {
    breaker: B,
    ticket: Option<Ticket>,
    deadline: Option<Instant>,
    /// Whether the deadline is a caller's own: any caller can choose one that nobody could keep.
    excuses: bool,
    /// When it began and what is slow, while the first answer is not there.
    clock: Option<(Instant, u64)>,
    slow: bool,
}

impl<'a> Call<&'a Breaker> {
    #[inline]
    pub(crate) fn start(breaker: &'a Breaker, cx: &Context, now: impl Fn() -> Instant) -> Result<Self, Error> {
        let ticket = breaker.admit(&now)?;
        let clock = breaker.machine().slow_call().map(|limit| (now(), limit));
        let (deadline, excuses) = (cx.deadline(), cx.deadline_excuses());
        Ok(Self { breaker, ticket: Some(ticket), deadline, excuses, clock, slow: false })
    }

    /// For a call that outlives the borrowed handle.
    #[inline]
    pub(crate) fn keep(mut self) -> Call {
        let ticket = self.ticket.take();
        let Self { deadline, excuses, clock, slow, .. } = self;
        Call { breaker: self.breaker.clone(), ticket, deadline, excuses, clock, slow }
    }
}

impl<B: Borrow<Breaker>> Call<B> {
    #[inline]
    fn answered(&mut self, now: impl Fn() -> Instant) {
        if let Some((start, limit)) = self.clock.take() {
            self.slow = now().saturating_duration_since(start).as_nanos() > u128::from(limit);
        }
    }

    /// A message of the answer.
    #[inline]
    pub(crate) fn answered_at(&mut self, now: impl Fn() -> Instant) {
        self.answered(&now);
        // A stream may last for hours: as a probe its first message is enough.
        if let Some(ticket) = self.ticket.as_mut().filter(|ticket| ticket.probe) {
            let breaker = self.breaker.borrow();
            let end = breaker.judge(Outcome::Answered, self.slow);
            breaker.machine().settle_probe(ticket, end, || breaker.at(now()));
        }
    }

    /// The call is over.
    #[inline]
    pub(crate) fn ended_at(mut self, outcome: Outcome<'_>, now: impl Fn() -> Instant) {
        match outcome {
            Outcome::Answered => self.settle(outcome, now),
            _ => self.ended_badly(outcome, now),
        }
    }

    fn ended_badly(mut self, outcome: Outcome<'_>, now: impl Fn() -> Instant) {
        let is_late = || self.deadline.is_some_and(|deadline| deadline <= now());
        match outcome {
            // Given up by a timeout outside of this layer: that is the service's failure, not a caller who went away.
            Outcome::Dropped if !self.excuses && is_late() => {
                let error = Error::deadline_exceeded("the deadline of the call passed");
                self.settle(Outcome::Failed(&error), now);
            }
            Outcome::Failed(error) if self.excuses && error.code() == Code::DeadlineExceeded && is_late() => {
                self.settle(Outcome::Dropped, now);
            }
            outcome => self.settle(outcome, now),
        }
    }

    #[inline]
    fn settle(&mut self, outcome: Outcome<'_>, now: impl Fn() -> Instant) {
        if std::thread::panicking() {
            // A rule that panicked now would end the process: the drop gives the ticket back.
            return;
        }
        self.answered(&now);
        let breaker = self.breaker.borrow();
        // Before the ticket is taken: a rule is somebody else's code and may panic, and then the ticket is given back by the drop.
        let end = breaker.judge(outcome, self.slow);
        if let Some(ticket) = self.ticket.take() {
            breaker.machine().settle(ticket, end, || breaker.at(now()));
        }
    }
}

impl Track for Call {
    fn message<P: Payload>(&mut self, _: &P) {
        self.answered_at(Instant::now);
    }

    fn streaming(&mut self) {
        self.answered(Instant::now);
    }

    #[inline]
    fn end(self, outcome: Outcome<'_>) {
        self.ended_at(outcome, Instant::now);
    }
}

impl<B: Borrow<Breaker>> Drop for Call<B> {
    // A service that panics in `call` leaves it without an end, and so does a rule that panics.
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.borrow().give_back(ticket);
        }
    }
}
