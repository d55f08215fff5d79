use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::timeout_at;
use tower::Service;

use super::layer::Shared;
use crate::{Error, Payload, Request, Response};

/// Makes one call of equal ones: see the [module](super).
pub struct SingleFlightService<S, Res> {
    inner: S,
    /// `None` where nothing is joined.
    shared: Option<Arc<Shared<Res>>>,
}

impl<S, Res> SingleFlightService<S, Res> {
    pub(super) fn new(inner: S, shared: Option<Arc<Shared<Res>>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, Req, Res> Service<Request<Req>> for SingleFlightService<S, Res>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, Res>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some((shared, key)) = self.shared.as_ref().and_then(|shared| Some((shared, key(shared, &request)?))) else {
            return ResponseFuture { state: State::Alone { inner: self.inner.call(request) } };
        };
        let shared = Arc::clone(shared);
        let spare = self.inner.clone();
        // The one that is ready: whoever waits may have to begin the call itself.
        let service = std::mem::replace(&mut self.inner, spare);
        let joined = Box::pin(async move {
            let Some(deadline) = request.context().deadline() else { return shared.fly(&key, service, request).await };
            timeout_at(deadline, shared.fly(&key, service, request)).await.unwrap_or_else(|_| {
                Err(Error::deadline_exceeded("the deadline of the call passed before it was answered"))
            })
        });
        ResponseFuture { state: State::Joined { joined } }
    }
}

/// What a call is compared by; `None` for one that is made alone.
fn key<Req: Payload, Res: Payload>(shared: &Shared<Res>, request: &Request<Req>) -> Option<Vec<u8>> {
    if Req::IS_STREAM || Res::IS_STREAM {
        return None;
    }
    let config = shared.config();
    if !config.joins(&shared.method) {
        return None;
    }
    let key = config.vary().key_of(&shared.method, request);
    if key.is_none() {
        shared.figures.apart.fetch_add(1, Ordering::Relaxed);
    }
    key
}

pin_project! {
    /// The future of a call that may be joined with others. Dropping it drops the call when nobody else waits for it.
    pub struct ResponseFuture<F, Res> {
        #[pin]
        state: State<F, Res>,
    }
}

type Joined<Res> = Pin<Box<dyn Future<Output = Result<Response<Res>, Error>> + Send>>;

pin_project! {
    #[project = Projected]
    enum State<F, Res> {
        Alone { #[pin] inner: F },
        Joined { joined: Joined<Res> },
    }
}

impl<F, E, Res> Future for ResponseFuture<F, Res>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Alone { inner } => inner.poll(cx).map_err(Into::into),
            Projected::Joined { joined } => joined.as_mut().poll(cx),
        }
    }
}

impl<S: Clone, Res> Clone for SingleFlightService<S, Res> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone() }
    }
}

impl<S: fmt::Debug, Res> fmt::Debug for SingleFlightService<S, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlightService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<F, Res> fmt::Debug for ResponseFuture<F, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
