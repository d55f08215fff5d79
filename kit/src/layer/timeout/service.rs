use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use crate::{Error, Message, Payload, Request, Response, Streaming, endpoint::MapStream};

/// Ends calls at their deadline: see the [module](super).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Option<Duration>,
}

impl<S> Timeout<S> {
    /// A call of `inner` may take `limit`, or what the caller allows if that is less.
    pub fn new(inner: S, limit: Option<Duration>) -> Self {
        Self { inner, limit }
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
        let deadline = match (request.context().deadline(), ours) {
            (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
            (theirs, ours) => theirs.or(ours),
        };
        if deadline.is_some_and(|deadline| deadline <= now) {
            return ResponseFuture { state: State::Expired };
        }
        request.context_mut().set_deadline(deadline);
        let (inner, sleep) = (self.inner.call(request), deadline.map(sleep_until));
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
        Expired,
        Running { #[pin] inner: F, #[pin] sleep: Option<Sleep>, deadline: Option<Instant> },
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
        let Projected::Running { inner, sleep, deadline } = self.project().state.project() else {
            return Poll::Ready(Err(exceeded().with_log("the deadline had passed before the call was started")));
        };
        // The answer first: one that is there at the deadline was in time.
        if let Poll::Ready(result) = inner.poll(cx) {
            return Poll::Ready(match (result, *deadline) {
                (Ok(response), Some(deadline)) if Res::IS_STREAM => {
                    Ok(response.map(|payload| payload.map_stream(Until(deadline))))
                }
                (result, _) => result.map_err(Into::into),
            });
        }
        match sleep.as_pin_mut() {
            Some(sleep) => {
                ready!(sleep.poll(cx));
                Poll::Ready(Err(exceeded()))
            }
            None => Poll::Pending,
        }
    }
}

fn exceeded() -> Error {
    Error::deadline_exceeded("the deadline of the call passed before it was answered")
}

/// Ends a stream at the deadline.
struct Until(Instant);

impl MapStream for Until {
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M> {
        stream.until(self.0, exceeded)
    }
}
