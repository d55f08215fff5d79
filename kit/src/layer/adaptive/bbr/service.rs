use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use tokio::time::Instant;
use tower::Service;

use super::{
    Bbr,
    handle::{Running, Shared},
};
use crate::{
    Context, Error, Payload, Request, Response,
    layer::{
        concurrency::priority::MethodClass,
        track::{Outcome, Track, Tracked},
    },
};

/// Refuses calls while the system is overloaded: see the [module](super).
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    pub(super) inner: S,
    /// `None` without protection.
    pub(super) guard: Option<Guard>,
}

#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(super) bbr: Bbr,
    pub(super) class: MethodClass,
}

impl<S, Req, Res> Service<Request<Req>> for Guarded<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = Tracked<S::Future, Call>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(guard) = &self.guard else { return Tracked::new(self.inner.call(request), None) };
        match guard.enter(request.context(), Instant::now()) {
            Ok(running) => {
                let call = Call(Some(running.keep()));
                Tracked::new(self.inner.call(request), call)
            }
            Err(error) => Tracked::refused(error),
        }
    }
}

impl Guard {
    /// Lets a call begin, or refuses it.
    #[inline]
    pub(crate) fn enter(&self, cx: &Context, now: Instant) -> Result<Running<&Arc<Shared>>, Error> {
        self.bbr.enter(self.class.of(cx), now)
    }
}

/// A call that runs; `None` when it has been counted.
#[derive(Debug)]
pub struct Call(Option<Running>);

impl Track for Call {
    fn streaming(&mut self) {
        // Calls that run can only be compared with times that are theirs.
        if let Some(running) = self.0.take() {
            running.passed(Instant::now());
        }
    }

    fn end(self, outcome: Outcome<'_>) {
        if let Some(running) = self.0 {
            running.ended(outcome, Instant::now);
        }
    }
}
