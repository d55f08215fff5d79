//! Services whose types are erased: what stands in an endpoint.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;
use tower::ServiceExt as _;

use super::{EndpointService, Payload, Request, Response};
use crate::Error;

/// A service that is called by reference, as often as one likes at once: what a call has to wait for it waits for itself.
///
/// With this an endpoint is cloned for the price of a reference, and one allocation, that of the future, is all that erasing costs.
pub(crate) trait Call<Req, Res>: Send + Sync + 'static {
    fn call(&self, request: Request<Req>) -> CallFuture<Res>;
}

/// The future of a call through an [`Endpoint`](super::Endpoint). Dropping it cancels the call.
#[must_use = "nothing is called before it is awaited"]
pub struct CallFuture<Res>(Pin<Box<dyn Future<Output = Result<Response<Res>, Error>> + Send>>);

impl<Res> CallFuture<Res> {
    pub(crate) fn new(future: impl Future<Output = Result<Response<Res>, Error>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl<Res> Future for CallFuture<Res> {
    type Output = Result<Response<Res>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(task)
    }
}

impl<Res> fmt::Debug for CallFuture<Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").finish_non_exhaustive()
    }
}

/// A Tower service: each call has a clone of it, and waits until that is ready.
pub(super) struct Tower<S>(pub(super) S);

impl<S, Req, Res> Call<Req, Res> for Tower<S>
where
    S: EndpointService<Req, Res>,
    Req: Payload,
    Res: Payload,
{
    fn call(&self, request: Request<Req>) -> CallFuture<Res> {
        CallFuture::new(OurError { inner: self.0.clone().oneshot(request) })
    }
}

pin_project! {
    /// A future whose errors become ours. `map_err` would do, but moves each answer some times more.
    struct OurError<F> {
        #[pin]
        inner: F,
    }
}

impl<F, Res, E> Future for OurError<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_err(Into::into)
    }
}
