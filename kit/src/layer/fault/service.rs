use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::Service;

use super::handle::{Faults, Place};
use crate::{Error, Request, Response};

/// Makes calls late, or fail: see the [module](super).
#[derive(Clone, Debug)]
pub struct FaultService<S> {
    inner: S,
    /// `None` where there are no faults.
    faults: Option<Arc<Faults>>,
}

impl<S> FaultService<S> {
    pub(super) fn new(inner: S, faults: Option<Arc<Faults>>) -> Self {
        Self { inner, faults }
    }
}

impl<S, Req, Res> Service<Request<Req>> for FaultService<S>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone,
    S::Error: Into<Error>,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S, Req, S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let planned = match self.faults.as_ref().filter(|faults| faults.on()) {
            Some(faults) => faults.plan(request.context()),
            None => return ResponseFuture { state: State::Running { inner: self.inner.call(request) } },
        };
        let state = match planned {
            Err(error) => State::Aborted { error: Some(error) },
            Ok((plan, place)) => match (plan.delay, plan.abort) {
                (None, None) => State::Running { inner: self.inner.call(request) },
                (None, Some(error)) => State::Aborted { error: Some(error) },
                (Some(delay), abort) => {
                    let then = match abort {
                        Some(error) => Then::Abort(error),
                        None => {
                            // The service that is ready waits with the call; its clone has to become ready first.
                            let clone = self.inner.clone();
                            Then::Call(std::mem::replace(&mut self.inner, clone), request)
                        }
                    };
                    let late = Late { sleep: Box::pin(sleep(delay)), place, then: Some(then) };
                    State::Late { late: Box::new(late) }
                }
            },
        };
        ResponseFuture { state }
    }
}

pin_project! {
    /// The future of a call that may have a fault. Dropping it drops the call, and its place among those that wait.
    pub struct ResponseFuture<S, Req, F> {
        #[pin]
        state: State<S, Req, F>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, Req, F> {
        Aborted { error: Option<Error> },
        Late { late: Box<Late<S, Req>> },
        Running { #[pin] inner: F },
    }
}

/// A call that waits. In a box, so that those without a fault carry no room for it.
struct Late<S, Req> {
    sleep: Pin<Box<Sleep>>,
    place: Option<Place>,
    then: Option<Then<S, Req>>,
}

enum Then<S, Req> {
    Abort(Error),
    Call(S, Request<Req>),
}

impl<S, Req, F> fmt::Debug for ResponseFuture<S, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = matches!(self.state, State::Late { .. });
        f.debug_struct("ResponseFuture").field("late", &late).finish_non_exhaustive()
    }
}

impl<S, Req, Res> Future for ResponseFuture<S, Req, S::Future>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let done = || Error::internal("polled after it was done");
        let mut state = self.project().state;
        loop {
            let inner = match state.as_mut().project() {
                Projected::Running { inner } => return inner.poll(cx).map_err(Into::into),
                Projected::Aborted { error } => return Poll::Ready(Err(error.take().unwrap_or_else(done))),
                Projected::Late { late } => {
                    ready!(late.sleep.as_mut().poll(cx));
                    late.place = None;
                    match late.then.take() {
                        Some(Then::Call(mut service, request)) => service.call(request),
                        Some(Then::Abort(error)) => return Poll::Ready(Err(error)),
                        None => return Poll::Ready(Err(done())),
                    }
                }
            };
            state.set(State::Running { inner });
        }
    }
}
