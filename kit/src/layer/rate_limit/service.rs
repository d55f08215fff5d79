use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use super::{
    RateLimit,
    headers::Headers,
    limit::{Admission, Deciding},
};
use crate::{Error, Request, Response};

/// Admits calls as a limit allows: see the [module](super).
#[derive(Clone, Debug)]
pub struct RateLimited<S> {
    inner: S,
    /// `None` where nothing is limited.
    limit: Option<RateLimit>,
    headers: bool,
}

impl<S> RateLimited<S> {
    pub(super) fn new(inner: S, limit: Option<RateLimit>, headers: bool) -> Self {
        Self { inner, limit, headers }
    }
}

impl<S, Req, Res> Service<Request<Req>> for RateLimited<S>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone,
    S::Error: Into<Error>,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let admission = match &self.limit {
            Some(limit) => limit.decide(request.context(), self.headers, Instant::now()),
            None => Admission::Admitted(None),
        };
        ResponseFuture {
            state: match admission {
                Admission::Admitted(headers) => State::Running { inner: self.inner.call(request), headers },
                Admission::Refused(error) => State::Refused { error: Some(error) },
                Admission::Asking(deciding) => {
                    // The one that is ready goes with the call; its clone becomes ready for the next.
                    let next = self.inner.clone();
                    let inner = std::mem::replace(&mut self.inner, next);
                    State::Asking { call: Box::new(Asking { deciding, inner, request: Some(request) }) }
                }
            },
        }
    }
}

/// A call about which the store of a shared limit decides.
struct Asking<S, Req> {
    deciding: Deciding,
    inner: S,
    request: Option<Request<Req>>,
}

pin_project! {
    /// The future of a call behind a limit. Dropping it drops the call; a slot that it took stays taken.
    pub struct ResponseFuture<S: Service<Request<Req>>, Req> {
        #[pin]
        state: State<S::Future, Asking<S, Req>>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F, A> {
        Refused { error: Option<Error> },
        Asking { call: Box<A> },
        Running { #[pin] inner: F, headers: Headers },
    }
}

impl<S, Req, Res> Future for ResponseFuture<S, Req>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        loop {
            let mut state = self.as_mut().project().state;
            match state.as_mut().project() {
                Projected::Refused { error } => return Poll::Ready(Err(error.take().unwrap_or_else(polled_again))),
                Projected::Asking { call } => {
                    let next = match (ready!(call.deciding.as_mut().poll(cx)), call.request.take()) {
                        (Ok(headers), Some(request)) => State::Running { inner: call.inner.call(request), headers },
                        (Ok(_), None) => State::Refused { error: None },
                        (Err(error), _) => State::Refused { error: Some(error) },
                    };
                    state.set(next);
                }
                Projected::Running { inner, headers } => {
                    let result = ready!(inner.poll(cx));
                    return Poll::Ready(with_headers(result.map_err(Into::into), headers.take()));
                }
            }
        }
    }
}

/// The answer, or the error, with the headers of the limit if there are any.
#[inline]
pub(crate) fn with_headers<Res>(
    result: Result<Response<Res>, Error>,
    headers: Headers,
) -> Result<Response<Res>, Error> {
    let Some(headers) = headers else { return result };
    match result {
        Ok(mut response) => {
            response.metadata_mut().extend(*headers);
            Ok(response)
        }
        Err(error) => Err(error.with_metadata(*headers)),
    }
}

fn polled_again() -> Error {
    Error::internal("polled after it was done")
}

impl<S: Service<Request<Req>>, Req> fmt::Debug for ResponseFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
