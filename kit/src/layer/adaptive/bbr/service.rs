use std::task::{Context as TaskContext, Poll};

use tokio::time::Instant;
use tower::Service;

use super::{Bbr, handle::Running};
use crate::{
    Class, Error, Payload, Request, Response,
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
pub(super) struct Guard {
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
        match guard.bbr.enter(guard.class.of(request.context()), Instant::now()) {
            Ok(running) => Tracked::new(self.inner.call(request), Call(Some(running))),
            Err(error) => Tracked::refused(error),
        }
    }
}

/// A call that runs; `None` when it has been counted.
#[derive(Debug)]
pub struct Call(Option<Running>);

impl Track for Call {
    fn streaming(&mut self) {
        // What follows is as long as what was asked for is large: as a time it would say nothing, and calls that run can only be
        // compared with times that are theirs.
        if let Some(running) = self.0.take() {
            running.passed(Instant::now());
        }
    }

    fn end(self, outcome: Outcome<'_>) {
        let Some(running) = self.0 else { return };
        let done = match outcome {
            Outcome::Answered => true,
            Outcome::Failed(error) => error.class() == Class::Caller,
            Outcome::Dropped => false,
        };
        if done {
            running.passed(Instant::now());
        }
    }
}
