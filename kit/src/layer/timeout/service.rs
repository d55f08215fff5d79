use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use crate::{Class, Code, Error, Message, Payload, Request, Response, Streaming, endpoint::MapStream};

/// Ends calls at their deadline: see the [module](super).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    pub(super) inner: S,
    pub(super) limit: Option<Duration>,
    pub(super) side: Side,
}

/// Where the layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

/// The deadline of one call.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Option<Instant>,
    /// Whether nobody is to blame when it passes: we serve, and it is the caller's.
    excuses: bool,
}

impl Deadline {
    fn of(theirs: Option<Instant>, ours: Option<Instant>, side: Side) -> Self {
        let at = match (theirs, ours) {
            (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
            (theirs, ours) => theirs.or(ours),
        };
        Self { at, excuses: side == Side::Server && at.is_some() && at == theirs }
    }

    fn exceeded(self) -> Error {
        let error = Error::deadline_exceeded("the deadline of the call passed before it was answered");
        error.of_class(self.excuses.then_some(Class::Cancelled))
    }

    /// Says whose failure an error from inside is. A call further inside may have judged by the deadline that it had from us.
    fn judge(self, error: Error) -> Error {
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
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let now = Instant::now();
        let ours = self.limit.and_then(|limit| now.checked_add(limit));
        let deadline = Deadline::of(request.context().deadline(), ours, self.side);
        if deadline.at.is_some_and(|at| at <= now) {
            return ResponseFuture { state: State::Expired { deadline } };
        }
        request.context_mut().set_deadline(deadline.at);
        let (inner, sleep) = (self.inner.call(request), deadline.at.map(sleep_until));
        ResponseFuture { state: State::Running { inner, sleep, deadline } }
    }
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
        Expired { deadline: Deadline },
        Running { #[pin] inner: F, #[pin] sleep: Option<Sleep>, deadline: Deadline },
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
        let (inner, sleep, deadline) = match self.project().state.project() {
            Projected::Running { inner, sleep, deadline } => (inner, sleep, *deadline),
            Projected::Expired { deadline } => {
                let error = deadline.exceeded().with_log("the deadline had passed before the call was started");
                return Poll::Ready(Err(error));
            }
        };
        // The answer first: one that is there at the deadline was in time.
        if let Poll::Ready(result) = inner.poll(cx) {
            return Poll::Ready(match result {
                Ok(response) if Res::IS_STREAM => Ok(response.map(|payload| payload.map_stream(deadline))),
                Ok(response) => Ok(response),
                Err(error) => Err(deadline.judge(error.into())),
            });
        }
        match sleep.as_pin_mut() {
            Some(sleep) => {
                ready!(sleep.poll(cx));
                Poll::Ready(Err(deadline.exceeded()))
            }
            None => Poll::Pending,
        }
    }
}

/// Ends a stream at the deadline.
impl MapStream for Deadline {
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M> {
        match self.at {
            Some(at) => {
                stream.until(at, move |failed| failed.map_or_else(|| self.exceeded(), |error| self.judge(error)))
            }
            None => stream,
        }
    }
}
