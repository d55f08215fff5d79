use std::task::{Context as TaskContext, Poll};

use tokio::time::Instant;
use tower::Service;

use super::{
    Breaker, Verdict,
    machine::{End, Ticket},
};
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
        match Call::start(breaker, request.context()) {
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
    /// Whether the deadline is a caller's own: any caller can choose one that nobody could keep.
    excuses: bool,
    /// When it began and what is slow, while the first answer is not there.
    clock: Option<(Instant, u64)>,
    slow: bool,
}

impl Call {
    fn start(breaker: &Breaker, cx: &Context) -> Result<Self, Error> {
        let ticket = breaker.admit()?;
        let clock = breaker.machine().slow_call().map(|limit| (Instant::now(), limit));
        let (deadline, excuses) = (cx.deadline(), cx.deadline_excuses());
        Ok(Self { breaker: breaker.clone(), ticket: Some(ticket), deadline, excuses, clock, slow: false })
    }

    fn answered(&mut self) {
        if let Some((start, limit)) = self.clock.take() {
            self.slow = start.elapsed().as_nanos() > u128::from(limit);
        }
    }

    fn settle(&mut self, outcome: Outcome<'_>) {
        if std::thread::panicking() {
            // A rule that panicked now would end the process: the drop gives the ticket back.
            return;
        }
        self.answered();
        // Before the ticket is taken: a rule is somebody else's code and may panic, and then the ticket is given back by the drop.
        let end = self.breaker.judge(outcome, self.slow);
        if let Some(ticket) = self.ticket.take() {
            self.breaker.machine().settle(ticket, end, || self.breaker.now());
        }
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
        let is_late = || self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        match outcome {
            // Given up by a timeout outside of this layer: that is the service's failure, not a caller who went away.
            Outcome::Dropped if !self.excuses && is_late() => {
                let error = Error::deadline_exceeded("the deadline of the call passed");
                self.settle(Outcome::Failed(&error));
            }
            Outcome::Failed(error) if self.excuses && error.code() == Code::DeadlineExceeded && is_late() => {
                self.settle(Outcome::Dropped);
            }
            outcome => self.settle(outcome),
        }
    }
}

impl Drop for Call {
    // A service that panics in `call` leaves it without an end, and so does a rule that panics.
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let end = End { verdict: Verdict::Ignored, slow: false, code: None };
            self.breaker.machine().settle(ticket, end, || self.breaker.now());
        }
    }
}
