use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use pin_project_lite::pin_project;
use tower::Service;

use super::handle::Gate;
use crate::{Error, Payload, Request, Response};

/// Asks who calls: see the [module](super).
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    /// `None` where nothing is asked.
    gate: Option<Arc<Gate>>,
}

impl<S> AuthService<S> {
    pub(super) fn new(inner: S, gate: Option<Arc<Gate>>) -> Self {
        Self { inner, gate }
    }
}

impl<S, Req, Res> Service<Request<Req>> for AuthService<S>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S, Req, S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(gate) = &self.gate else {
            return ResponseFuture { state: State::Running { inner: self.inner.call(request) } };
        };
        let gate = Arc::clone(gate);
        let check = Box::pin(async move {
            let (mut cx, message) = request.into_parts();
            if let Some(identity) = gate.identify(&cx).await? {
                cx.set_extension(identity);
            }
            Ok(Request::new(cx, message))
        });
        // The service that is ready waits with the call; its clone has to become ready first.
        let clone = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, clone);
        ResponseFuture { state: State::Checking { check, service: Some(service) } }
    }
}

type Check<Req> = Pin<Box<dyn Future<Output = Result<Request<Req>, Error>> + Send>>;

pin_project! {
    /// The future of a call of somebody. Dropping it drops the call.
    pub struct ResponseFuture<S, Req, F> {
        #[pin]
        state: State<S, Req, F>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, Req, F> {
        Checking { check: Check<Req>, service: Option<S> },
        Running { #[pin] inner: F },
    }
}

impl<S, Req, F> fmt::Debug for ResponseFuture<S, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checking = matches!(self.state, State::Checking { .. });
        f.debug_struct("ResponseFuture").field("checking", &checking).finish_non_exhaustive()
    }
}

impl<S, Req, Res> Future for ResponseFuture<S, Req, S::Future>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let inner = match state.as_mut().project() {
                Projected::Running { inner } => return inner.poll(cx).map_err(Into::into),
                Projected::Checking { check, service } => match (ready!(check.as_mut().poll(cx)), service.take()) {
                    (Ok(request), Some(mut service)) => service.call(request),
                    (Err(error), _) => return Poll::Ready(Err(error)),
                    (Ok(_), None) => return Poll::Ready(Err(Error::internal("polled after it was done"))),
                },
            };
            state.set(State::Running { inner });
        }
    }
}
