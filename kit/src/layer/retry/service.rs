use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower::{Service, ServiceExt as _, util::Oneshot};

use super::{
    RetryConfig,
    budget::Permit,
    layer::Shared,
    policy::{Failed, Stop, Verdict},
};
use crate::{Class, Code, Context, Error, Payload, Request, Response};

/// Makes calls again that failed: see the [module](super).
#[derive(Clone, Debug)]
pub struct RetriedCall<S> {
    inner: S,
    /// `None` where nothing is retried.
    again: Option<Arc<Again<S>>>,
}

#[derive(Debug)]
struct Again<S> {
    shared: Arc<Shared>,
    // Cloned for each further attempt: a service may have to be ready before it is called, and the one that was is used up.
    // A call that succeeds at once, as most do, clones none.
    spare: S,
}

impl<S: Clone> RetriedCall<S> {
    pub(super) fn new(inner: S, shared: Option<Arc<Shared>>) -> Self {
        let again = shared.map(|shared| Arc::new(Again { shared, spare: inner.clone() }));
        Self { inner, again }
    }
}

impl<S, Req, Res> Service<Request<Req>> for RetriedCall<S>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let kept = self.again.as_ref().and_then(|again| Call::keep::<Res>(again, &mut request));
        let Some(call) = kept else {
            return ResponseFuture { state: State::Once { inner: self.inner.call(request) } };
        };
        let step = Step::First { inner: self.inner.call(request) };
        ResponseFuture { state: State::Kept { call, step, limit: None } }
    }
}

/// A call that may be made again.
struct Call<S, Req> {
    again: Arc<Again<S>>,
    context: Context,
    message: Req,
    attempts: u32,
    /// When the running attempt is given up, if that is before the call is.
    until: Option<Instant>,
    streams: bool,
    /// Whether an attempt beyond the first is being made.
    retrying: bool,
}

enum Judged<Req, Res> {
    Done(Result<Response<Res>, Error>),
    Again { wait: Duration, next: Next<Req> },
}

/// What the next attempt needs.
struct Next<Req> {
    message: Req,
    permit: Permit,
}

impl<S, Req: Payload> Call<S, Req> {
    /// Keeps what a further attempt needs, if there could be one, and limits the first.
    fn keep<Res: Payload>(again: &Arc<Again<S>>, request: &mut Request<Req>) -> Option<Self> {
        let config = again.shared.config();
        let repeats = !Req::IS_STREAM
            && config.max_attempts > 1
            // Whoever is before us tries again already.
            && request.context().previous_attempts() == 0
            && request.message().encoded_len() as u64 <= config.max_replay;
        if !repeats {
            return None;
        }
        let message = request.message().try_clone()?;
        again.shared.budget().count(request.context_mut());
        let mut call = Self {
            again: Arc::clone(again),
            context: request.context().clone(),
            message,
            attempts: 1,
            until: None,
            streams: Res::IS_STREAM,
            retrying: false,
        };
        call.limit(&config, request.context_mut());
        Some(call)
    }

    /// Limits the attempt that is about to be made.
    fn limit(&mut self, config: &RetryConfig, cx: &mut Context) {
        let limit = config.attempt_timeout.filter(|_| config.may_repeat(&self.shared().method));
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.until = until.filter(|until| self.context.deadline().is_none_or(|deadline| *until < deadline));
        if self.until.is_some() && !self.streams {
            // A stream that has begun goes on: only its beginning is limited, and that not by the service.
            cx.set_deadline(self.until);
            cx.excuse_deadline(false);
        }
    }

    fn shared(&self) -> &Shared {
        &self.again.shared
    }

    /// The request of the next attempt.
    fn next(&mut self, next: Next<Req>) -> Request<Req> {
        next.permit.spend();
        let mut context = self.context.attempt(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.retrying = true;
        let config = self.shared().config();
        self.limit(&config, &mut context);
        Request::new(context, next.message)
    }

    /// What becomes of the outcome of an attempt.
    fn judge<Res>(&mut self, result: Result<Response<Res>, Error>) -> Judged<Req, Res> {
        if std::mem::take(&mut self.retrying) {
            let figures = &self.again.shared.figures;
            // A mistake of the caller is an answer, too.
            let answered = result.as_ref().err().is_none_or(|error| error.class() == Class::Caller);
            add(if answered { &figures.answered } else { &figures.failed });
        }
        let error = match result {
            Ok(response) => return Judged::Done(Ok(response)),
            Err(error) => error,
        };
        let now = Instant::now();
        let failed = Failed {
            method: &self.shared().method,
            error: &error,
            attempts: self.attempts,
            timed_out: error.code() == Code::DeadlineExceeded && self.until.is_some_and(|until| until <= now),
            deadline: self.context.deadline(),
            now,
        };
        let verdict = failed.judge(&self.shared().config(), self.shared().random());
        let stop = match verdict {
            Verdict::Stop(stop) => stop,
            Verdict::Again(wait) => match (self.message.try_clone(), self.shared().budget().withdraw()) {
                (Some(message), Some(permit)) => {
                    self.tell(|attempts| {
                        let wait = crate::duration::format(wait);
                        format!("attempt {attempts} failed with {}, the next comes in {wait}", error.code())
                    });
                    return Judged::Again { wait, next: Next { message, permit } };
                }
                (None, _) => Stop::NotIdempotent,
                (_, None) => {
                    add(&self.shared().figures.exhausted);
                    Stop::Budget
                }
            },
        };
        Judged::Done(Err(self.last(error, stop)))
    }

    /// The error that the call ends with.
    fn last(&self, error: Error, stop: Stop) -> Error {
        if self.attempts == 1 && stop != Stop::Budget {
            return error;
        }
        self.tell(|attempts| format!("attempt {attempts} failed with {}, {}", error.code(), stop.name()));
        let attempts = if self.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", self.attempts) };
        let log = match error.log() {
            Some(log) => format!("{log}; {attempts}, {}", stop.name()),
            None => format!("{attempts}, {}", stop.name()),
        };
        error.with_log(log)
    }

    /// Tells the span of the call, if it is recorded.
    fn tell(&self, what: impl FnOnce(u32) -> String) {
        #[cfg(feature = "trace")]
        if let Some(span) = self.context.span().filter(|span| span.is_recorded()) {
            span.annotate(what(self.attempts));
        }
        #[cfg(not(feature = "trace"))]
        let _ = what;
    }
}

impl<S, Req> Drop for Call<S, Req> {
    fn drop(&mut self) {
        if self.retrying {
            add(&self.again.shared.figures.cancelled);
        }
    }
}

fn add(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

pin_project! {
    /// The future of a call that may be made again. Dropping it drops the attempt that is being made, and there is no other.
    pub struct ResponseFuture<S, Req>
    where
        S: Service<Request<Req>>,
    {
        #[pin]
        state: State<S, Req>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, Req>
    where
        S: Service<Request<Req>>,
    {
        // Nothing is kept: it is made once.
        Once { #[pin] inner: S::Future },
        // The timer of an attempt that has to wait.
        Kept { call: Call<S, Req>, #[pin] step: Step<S, Req>, limit: Option<Pin<Box<Sleep>>> },
    }
}

pin_project! {
    #[project = Stepped]
    enum Step<S, Req>
    where
        S: Service<Request<Req>>,
    {
        First { #[pin] inner: S::Future },
        Later { #[pin] inner: Oneshot<S, Request<Req>> },
        // In a box, so that those that need no timer carry no room for it.
        Wait { sleep: Pin<Box<Sleep>>, next: Option<Next<Req>> },
    }
}

impl<S, Req> fmt::Debug for ResponseFuture<S, Req>
where
    S: Service<Request<Req>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<S, Req, Res> Future for ResponseFuture<S, Req>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let (call, mut step, limit) = match self.project().state.project() {
            Projected::Once { inner } => return inner.poll(cx).map_err(Into::into),
            Projected::Kept { call, step, limit } => (call, step, limit),
        };
        loop {
            let polled = match step.as_mut().project() {
                Stepped::First { inner } => inner.poll(cx),
                Stepped::Later { inner } => inner.poll(cx),
                Stepped::Wait { sleep, next } => {
                    ready!(sleep.as_mut().poll(cx));
                    let Some(next) = next.take() else {
                        return Poll::Ready(Err(Error::internal("polled after it was done")));
                    };
                    let request = call.next(next);
                    let service = S::clone(&call.again.spare);
                    step.set(Step::Later { inner: service.oneshot(request) });
                    continue;
                }
            };
            // The answer first: one that is there when the time is over was in time.
            let result: Result<_, Error> = match (polled, call.until) {
                (Poll::Ready(result), _) => result.map_err(Into::into),
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(until)) => {
                    ready!(limit.get_or_insert_with(|| Box::pin(sleep_until(until))).as_mut().poll(cx));
                    Err(Error::deadline_exceeded("the service did not answer in the time of an attempt"))
                }
            };
            match call.judge(result) {
                Judged::Done(result) => return Poll::Ready(result),
                Judged::Again { wait, next } => {
                    *limit = None;
                    // Drops the attempt: one that was given up is cancelled before the next is made.
                    step.set(Step::Wait { sleep: Box::pin(sleep(wait)), next: Some(next) });
                }
            }
        }
    }
}
