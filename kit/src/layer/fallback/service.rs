use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as TaskContext, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::{
    Fallback,
    handle::{Answering, Figures, Kept},
};
use crate::{Context, Error, Payload, Request, Response, layer::degraded};

/// Answers calls that fail by a fallback: see the [module](super).
pub struct FallbackService<S, Req, Res> {
    inner: S,
    /// `None` where there is none.
    fallback: Option<Arc<Fallback<Req, Res>>>,
}

impl<S, Req, Res> FallbackService<S, Req, Res> {
    pub(super) fn new(inner: S, fallback: Option<Arc<Fallback<Req, Res>>>) -> Self {
        Self { inner, fallback }
    }
}

impl<S, Req, Res> Service<Request<Req>> for FallbackService<S, Req, Res>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, Req, Res>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let call = self.fallback.as_ref().and_then(|fallback| Call::keep(fallback, &request));
        let until = call.as_ref().and_then(Call::until);
        if until.is_some() {
            request.context_mut().set_deadline(until);
        }
        let step = Step::First { inner: self.inner.call(request), limit: until.map(sleep_until) };
        ResponseFuture { call, step }
    }
}

/// What is kept of a call for its fallback.
struct Call<Req, Res> {
    fallback: Arc<Fallback<Req, Res>>,
    context: Context,
    kept: Option<Kept<Req>>,
}

impl<Req: Payload, Res: Payload> Call<Req, Res> {
    fn keep(fallback: &Arc<Fallback<Req, Res>>, request: &Request<Req>) -> Option<Self> {
        if Req::IS_STREAM || Res::IS_STREAM {
            return None;
        }
        let Some(kept) = fallback.keep(request.message()) else {
            count(&fallback.figures().too_large);
            return None;
        };
        Some(Self { fallback: Arc::clone(fallback), context: request.context().clone(), kept: Some(kept) })
    }

    /// When the call is given up for its fallback.
    fn until(&self) -> Option<Instant> {
        let (reserve, deadline) = (self.fallback.config().reserve, self.context.deadline()?);
        let left = deadline.saturating_duration_since(Instant::now());
        (!reserve.is_zero() && !left.is_zero()).then(|| deadline - reserve.min(left / 2))
    }

    /// The fallback for an error, or the error where there is none for it.
    fn turn(&mut self, error: Error) -> Result<Asking<Res>, Error> {
        if !self.fallback.answers(&error) {
            return Err(error);
        }
        let figures = self.fallback.figures();
        if self.context.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            count(&figures.late);
            return Err(error.and_log("too late for the fallback"));
        }
        let Some(kept) = self.kept.take() else { return Err(error) };
        tracing::debug!(error = %error.to_log(), "a call failed and is answered by its fallback");
        degraded::tell(&self.context, || format!("failed with {}, the fallback is asked", error.code()));
        let answering = self.fallback.ask(self.context.clone(), kept, &error);
        let count = Asked(Some(Arc::clone(figures)));
        Ok(Asking { error, answering, limit: self.context.deadline().map(sleep_until).map(Box::pin), count })
    }
}

/// A fallback that was asked and has not answered; counts one that is given up.
struct Asked(Option<Arc<Figures>>);

impl Asked {
    fn end(&mut self, which: impl FnOnce(&Figures) -> &AtomicU64) {
        if let Some(figures) = self.0.take() {
            count(which(&figures));
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.end(|figures| &figures.cancelled);
    }
}

fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

pin_project! {
    /// The future of a call with a fallback. Dropping it drops the call, or the fallback's.
    pub struct ResponseFuture<F, Req, Res> {
        // `None` where there is no fallback.
        call: Option<Call<Req, Res>>,
        #[pin]
        step: Step<F, Res>,
    }
}

pin_project! {
    #[project = Projected]
    enum Step<F, Res> {
        First { #[pin] inner: F, #[pin] limit: Option<Sleep> },
        Between,
        Fallback { asked: Asking<Res> },
    }
}

/// The fallback at work; rare, so what it needs may be allocated.
struct Asking<Res> {
    error: Error,
    answering: Answering<Res>,
    limit: Option<Pin<Box<Sleep>>>,
    count: Asked,
}

impl<Res> Asking<Res> {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Response<Res>, Error>> {
        let result = match (self.answering.as_mut().poll(cx), &mut self.limit) {
            (Poll::Ready(result), _) => result,
            (Poll::Pending, Some(limit)) => {
                ready!(limit.as_mut().poll(cx));
                Err(Error::deadline_exceeded("the deadline of the call passed before the fallback answered"))
            }
            (Poll::Pending, None) => return Poll::Pending,
        };
        Poll::Ready(match result {
            Ok(mut answer) => {
                self.count.end(|figures| &figures.answered);
                degraded::mark(answer.metadata_mut(), "fallback");
                Ok(answer)
            }
            Err(second) => {
                self.count.end(|figures| &figures.failed);
                let spent = Error::internal("polled after it was done");
                let first = std::mem::replace(&mut self.error, spent);
                Err(first.and_log(format_args!("the fallback failed too: {}", second.to_log())))
            }
        })
    }
}

impl<F, E, Req, Res> Future for ResponseFuture<F, Req, Res>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let error = match this.step.as_mut().project() {
                Projected::Fallback { asked } => return asked.poll(cx),
                Projected::Between => return Poll::Ready(Err(Error::internal("polled after it was done"))),
                // The answer first: one that is there when the time is over was in time.
                Projected::First { inner, limit } => match (inner.poll(cx), limit.as_pin_mut()) {
                    (Poll::Ready(Ok(answer)), _) => return Poll::Ready(Ok(answer)),
                    (Poll::Ready(Err(error)), _) => error.into(),
                    (Poll::Pending, Some(limit)) => {
                        ready!(limit.poll(cx));
                        Error::deadline_exceeded("the service did not answer in time for a fallback")
                    }
                    (Poll::Pending, None) => return Poll::Pending,
                },
            };
            let Some(call) = this.call.as_mut() else { return Poll::Ready(Err(error)) };
            // Drops the call that failed before the fallback is asked.
            this.step.set(Step::Between);
            match call.turn(error) {
                Ok(asked) => this.step.set(Step::Fallback { asked }),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<S: Clone, Req, Res> Clone for FallbackService<S, Req, Res> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), fallback: self.fallback.clone() }
    }
}

impl<S: fmt::Debug, Req, Res> fmt::Debug for FallbackService<S, Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<F, Req, Res> fmt::Debug for ResponseFuture<F, Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
