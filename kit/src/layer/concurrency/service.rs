use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use super::{
    limiter::{Entry, Handle, Limiter, Permit, Shared},
    priority::MethodClass,
    wait::Wait,
};
use crate::{
    Code, Context, Error, Method, Payload, Request, Response,
    layer::track::{Outcome, Track, Tracked},
};

/// Lets no more calls run at once than a limit says: see the modules of [concurrency](super) and
/// [adaptive](crate::layer::adaptive) limits.
#[derive(Clone, Debug)]
pub struct Limited<S> {
    inner: S,
    /// `None` where there is no limit.
    enter: Option<Enter>,
}

/// How the calls of one method come in.
#[derive(Clone, Debug)]
pub(crate) struct Enter {
    limiter: Limiter,
    class: MethodClass,
    watch: Option<Watching>,
}

/// Is told how calls went: moves the limit.
pub(crate) trait Watch: Send + Sync + 'static {
    /// `now` is when the answer came, or the beginning of one that is a stream; `in_flight` the calls that ran when this one
    /// began.
    fn ended(&self, start: Instant, now: Instant, in_flight: u32, outcome: Outcome<'_>);

    /// The call had not ended when the deadline passed that its caller chose: it would have taken longer than this.
    fn given_up(&self, start: Instant, now: Instant, in_flight: u32);
}

#[derive(Clone)]
struct Watching(Arc<dyn Watch>);

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watching")
    }
}

impl Enter {
    pub(crate) fn new(limiter: &Limiter, method: Option<&Method>, watch: Option<Arc<dyn Watch>>) -> Self {
        Self { limiter: limiter.clone(), class: limiter.class(method), watch: watch.map(Watching) }
    }

    /// A place for a call, if there is one at once.
    #[inline]
    pub(crate) fn admit(&self, cx: &Context, now: Instant) -> Option<Call<&Arc<Shared>>> {
        let permit = self.limiter.admit(self.class.of(cx))?;
        Some(self.call(permit, cx, || now))
    }

    /// A place for a call that did not get one at once. Dropping the future gives the place in the queue up.
    pub(crate) async fn wait(&self, cx: &Context) -> Result<Call<&Arc<Shared>>, Error> {
        let permit = match self.limiter.enter(self.class.of(cx), cx.deadline()) {
            Entry::Admitted(permit) => permit,
            Entry::Waiting(wait) => wait.await?,
            Entry::Refused(error) => return Err(error),
        };
        Ok(self.call(self.limiter.lend(permit), cx, Instant::now))
    }

    #[inline]
    fn call<H: Handle>(&self, permit: Permit<H>, cx: &Context, now: impl FnOnce() -> Instant) -> Call<H> {
        let watched = self.watch.as_ref().map(|watching| Watched {
            watching: watching.clone(),
            start: now(),
            deadline: cx.deadline(),
            excuses: cx.deadline_excuses(),
        });
        Call { permit, watched }
    }
}

impl<S> Limited<S> {
    pub(crate) fn new(inner: S, enter: Option<Enter>) -> Self {
        Self { inner, enter }
    }
}

impl<S, Req, Res> Service<Request<Req>> for Limited<S>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone,
    S::Error: Into<Error>,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S, Req, S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(enter) = &self.enter else {
            return ResponseFuture::running(Tracked::new(self.inner.call(request), None));
        };
        let cx = request.context();
        match enter.limiter.enter(enter.class.of(cx), cx.deadline()) {
            Entry::Admitted(permit) => {
                let call = enter.call(permit, cx, Instant::now);
                ResponseFuture::running(Tracked::new(self.inner.call(request), call))
            }
            Entry::Refused(error) => ResponseFuture::running(Tracked::refused(error)),
            Entry::Waiting(wait) => {
                // The service that is ready waits with the call; its clone has to become ready first.
                let clone = self.inner.clone();
                let service = std::mem::replace(&mut self.inner, clone);
                let waiting = Waiting { wait, held: Some((service, request, enter.clone())) };
                ResponseFuture { state: State::Waiting { waiting: Box::new(waiting) } }
            }
        }
    }
}

pin_project! {
    /// The future of a call under a limit. Dropping it drops the call, or its place in the queue.
    pub struct ResponseFuture<S, Req, F> {
        #[pin]
        state: State<S, Req, F>,
    }
}

impl<S, Req, F> fmt::Debug for ResponseFuture<S, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = matches!(self.state, State::Waiting { .. });
        f.debug_struct("ResponseFuture").field("waiting", &waiting).finish_non_exhaustive()
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, Req, F> {
        Waiting { waiting: Box<Waiting<S, Req>> },
        Running { #[pin] inner: Tracked<F, Call> },
    }
}

/// A call that waits. In a box, so that those that do not wait carry no room for it.
struct Waiting<S, Req> {
    wait: Wait,
    held: Option<(S, Request<Req>, Enter)>,
}

impl<S, Req, F> ResponseFuture<S, Req, F> {
    fn running(inner: Tracked<F, Call>) -> Self {
        Self { state: State::Running { inner } }
    }
}

impl<S, Req, Res> Future for ResponseFuture<S, Req, S::Future>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Res: Payload,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let running = match state.as_mut().project() {
                Projected::Running { inner } => return inner.poll(cx),
                Projected::Waiting { waiting } => {
                    let permit = match ready!(Pin::new(&mut waiting.wait).poll(cx)) {
                        Ok(permit) => permit,
                        Err(error) => return Poll::Ready(Err(error)),
                    };
                    let Some((mut service, request, enter)) = waiting.held.take() else {
                        return Poll::Ready(Err(Error::internal("polled after it was done")));
                    };
                    let call = enter.call(permit, request.context(), Instant::now);
                    Tracked::new(service.call(request), call)
                }
            };
            state.set(State::Running { inner: running });
        }
    }
}

/// A call that runs.
#[derive(Debug)]
pub(crate) struct Call<H: Handle = Arc<Shared>> {
    // Dropped with the call: at the end of its answer.
    permit: Permit<H>,
    /// Who is to be told how it went; `None` when nobody is or all is told.
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    watching: Watching,
    start: Instant,
    deadline: Option<Instant>,
    /// Whether the deadline is the caller's own: it says how long that waits, and not what is too long for the service.
    excuses: bool,
}

impl Call<&Arc<Shared>> {
    /// For a call that outlives the borrowed handle.
    pub(crate) fn keep(self) -> Call {
        Call { permit: self.permit.keep(), watched: self.watched }
    }
}

impl<H: Handle> Call<H> {
    /// Tells how the call went, once: with its end the place is given back.
    #[inline]
    pub(crate) fn tell(&mut self, outcome: Outcome<'_>, now: impl FnOnce() -> Instant) {
        if let Some(watched) = self.watched.take() {
            self.told(watched, outcome, now());
        }
    }

    #[inline(never)]
    fn told(&self, watched: Watched, outcome: Outcome<'_>, now: Instant) {
        let Watched { watching, start, deadline, excuses } = watched;
        let (watch, in_flight) = (&watching.0, self.permit.in_flight());
        let missed = match outcome {
            Outcome::Dropped => true,
            Outcome::Failed(error) => error.code() == Code::DeadlineExceeded && !error.is_refusal(),
            Outcome::Answered => false,
        };
        if !missed || deadline.is_none_or(|deadline| now < deadline) {
            watch.ended(start, now, in_flight, outcome);
        } else if excuses {
            watch.given_up(start, now, in_flight);
        } else {
            let error = Error::deadline_exceeded("the deadline of the call passed");
            watch.ended(start, now, in_flight, Outcome::Failed(&error));
        }
    }
}

impl Track for Call {
    fn streaming(&mut self) {
        // How long a stream goes on is a matter of what is asked for, not of load.
        self.tell(Outcome::Answered, Instant::now);
    }

    #[inline]
    fn end(mut self, outcome: Outcome<'_>) {
        self.tell(outcome, Instant::now);
    }
}
