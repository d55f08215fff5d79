use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::{TimeoutLimits, stream::StreamLimits};
use crate::{Class, Code, Context, Error, Payload, Request, Response};

/// Ends calls at their deadline: see the [module](super).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    pub(super) inner: S,
    pub(super) limits: TimeoutLimits,
    pub(super) side: Side,
}

/// Where the layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// The deadline of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    /// Whether nobody is to blame when it passes: we serve, and the caller gave far less than we take.
    excuses: bool,
    /// The same for who is called from here with what is left of that time.
    short: bool,
}

/// A caller that gives less than half of what the service allows itself asks for too much. One that gives about as much, as a client with the
/// same settings does, found a service that is too slow.
const SHORT: u32 = 2;

impl Deadline {
    fn of(cx: &Context, now: Instant, ours: Option<Instant>, side: Side) -> Self {
        let theirs = cx.deadline();
        let at = match (theirs, ours) {
            (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
            (theirs, ours) => theirs.or(ours),
        };
        let is_theirs = at.is_some() && at == theirs;
        let left = |at: Instant| at.saturating_duration_since(now);
        let excuses = side == Side::Server
            && theirs.is_some_and(|theirs| ours.is_none_or(|ours| left(theirs).saturating_mul(SHORT) <= left(ours)));
        Self { at, excuses, short: excuses || (is_theirs && side == Side::Client && cx.deadline_excuses()) }
    }

    /// When it passes.
    pub(crate) fn at(self) -> Option<Instant> {
        self.at
    }

    /// The error of a call that was not started.
    #[cold]
    fn late(self) -> Error {
        self.exceeded().with_log("the deadline had passed before the call was started")
    }

    /// The error of a call that was not answered in time.
    #[cold]
    pub(crate) fn exceeded(self) -> Error {
        let error = Error::deadline_exceeded("the deadline of the call passed before it was answered");
        error.of_class(self.excuses.then_some(Class::Cancelled))
    }

    /// Says whose failure an error from inside is. A call further inside may have judged by the deadline that it had from us.
    #[cold]
    pub(crate) fn judge(self, error: Error) -> Error {
        if error.code() != Code::DeadlineExceeded || error.class() == Class::Rejected {
            return error;
        }
        let excused = self.excuses && self.at.is_some_and(|at| at <= Instant::now());
        error.of_class(excused.then_some(Class::Cancelled))
    }
}

impl<S, Req, Res> Service<Request<Req>> for Timeout<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let deadline = match self.limits.begin(request.context_mut(), Instant::now(), self.side) {
            Ok(deadline) => deadline,
            Err(error) => return ResponseFuture { state: State::Expired { error: Some(error) } },
        };
        let idle = if Req::IS_STREAM || Res::IS_STREAM { self.limits.idle() } else { None };
        if Req::IS_STREAM {
            request = listening(request, idle);
        }
        ResponseFuture { state: State::Running { inner: self.inner.call(request), sleep: None, deadline, idle } }
    }
}

impl TimeoutLimits {
    /// Gives a call its deadline; the error of one that comes too late.
    #[inline]
    pub(crate) fn begin(&self, cx: &mut Context, now: Instant, side: Side) -> Result<Deadline, Error> {
        let ours = self.total().and_then(|limit| now.checked_add(limit));
        let deadline = Deadline::of(cx, now, ours, side);
        if deadline.at.is_some_and(|at| at <= now) {
            return Err(deadline.late());
        }
        cx.set_deadline(deadline.at);
        cx.excuse_deadline(deadline.short);
        Ok(deadline)
    }
}

/// A stream of requests that ends when its next message does not come.
pub(crate) fn listening<Req: Payload>(request: Request<Req>, idle: Option<Duration>) -> Request<Req> {
    match idle {
        Some(limit) => request.map(|messages| messages.map_stream(StreamLimits::of_requests(limit))),
        None => request,
    }
}

/// A stream of answers that ends at the deadline, or when its next message does not come.
fn answering<Res: Payload>(response: Response<Res>, deadline: Deadline, idle: Option<Duration>) -> Response<Res> {
    if deadline.at.is_none() && idle.is_none() {
        return response;
    }
    response.map(|answers| answers.map_stream(StreamLimits::of_answers(deadline, idle)))
}

pin_project! {
    /// The future of a call with a deadline. Dropping it drops the call.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum State<F> {
        // The deadline had passed: the call was not started.
        Expired { error: Option<Error> },
        // The timer is made for a call that has to wait: many are answered at once. It is large, so it has a place of its own.
        Running { #[pin] inner: F, sleep: Option<Pin<Box<Sleep>>>, deadline: Deadline, idle: Option<Duration> },
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
    Res: Payload,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let (inner, sleep, deadline, idle) = match self.project().state.project() {
            Projected::Running { inner, sleep, deadline, idle } => (inner, sleep, *deadline, *idle),
            Projected::Expired { error } => {
                return Poll::Ready(Err(error.take().unwrap_or_else(|| Error::internal("polled after it was done"))));
            }
        };
        // The answer first: one that is there at the deadline was in time.
        if let Poll::Ready(result) = inner.poll(cx) {
            return Poll::Ready(match result {
                Ok(response) if Res::IS_STREAM => Ok(answering(response, deadline, idle)),
                Ok(response) => Ok(response),
                Err(error) => Err(deadline.judge(error.into())),
            });
        }
        let Some(at) = deadline.at else { return Poll::Pending };
        ready!(sleep.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx));
        Poll::Ready(Err(deadline.exceeded()))
    }
}
