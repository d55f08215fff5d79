use std::task::{Context as TaskContext, Poll};

use tower::Service;

use super::Throttle;
use crate::{
    Error, Payload, Request, Response,
    layer::track::{Outcome, Track, Tracked},
};

/// Sends the calls that a throttle lets through: see the [module](super).
#[derive(Clone, Debug)]
pub struct ThrottleService<S> {
    inner: S,
    /// `None` where nothing is refused.
    throttle: Option<Throttle>,
}

impl<S> ThrottleService<S> {
    pub(super) fn new(inner: S, throttle: Option<Throttle>) -> Self {
        Self { inner, throttle }
    }
}

impl<S, Req, Res> Service<Request<Req>> for ThrottleService<S>
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
        let Some(throttle) = &self.throttle else { return Tracked::new(self.inner.call(request), None) };
        match throttle.admit() {
            Ok(()) => Tracked::new(self.inner.call(request), Call(throttle.clone())),
            Err(refused) => Tracked::refused(refused),
        }
    }
}

/// A call that was let through.
#[derive(Debug)]
pub struct Call(Throttle);

impl Track for Call {
    #[inline]
    fn end(self, outcome: Outcome<'_>) {
        self.0.count(outcome);
    }
}
