use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;
use tower::Service;

use super::handle::Judge;
use crate::{Error, Request, Response};

/// Asks what the caller may do: see the [module](super).
#[derive(Clone, Debug)]
pub struct AuthorizeService<S> {
    inner: S,
    /// `None` where nothing is asked.
    judge: Option<Arc<Judge>>,
}

impl<S> AuthorizeService<S> {
    pub(super) fn new(inner: S, judge: Option<Arc<Judge>>) -> Self {
        Self { inner, judge }
    }
}

impl<S, Req, Res> Service<Request<Req>> for AuthorizeService<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let allowed = self.judge.as_ref().map_or(Ok(()), |judge| judge.allow(request.context()));
        let state = match allowed {
            Ok(()) => State::Running { inner: self.inner.call(request) },
            Err(error) => State::Denied { error: Some(error) },
        };
        ResponseFuture { state }
    }
}

pin_project! {
    /// The future of a call that may be made, or of its refusal. Dropping it drops the call.
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
        Denied { error: Option<Error> },
        Running { #[pin] inner: F },
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Running { inner } => inner.poll(cx).map_err(Into::into),
            Projected::Denied { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Error::internal("polled after it was done"))))
            }
        }
    }
}
