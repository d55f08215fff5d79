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
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Service, ServiceExt as _, util::Oneshot};

use super::layer::Shared;
use crate::{Class, Context, Error, Payload, Request, Response};

/// Sends a second request when the first one is slow: see the [module](super).
#[derive(Clone, Debug)]
pub struct HedgedCall<S> {
    inner: S,
    /// `None` where nothing is hedged.
    beside: Option<Arc<Beside<S>>>,
}

#[derive(Debug)]
struct Beside<S> {
    shared: Arc<Shared>,
    // Cloned for each further request: a call that needs none clones none.
    spare: S,
}

impl<S: Clone> HedgedCall<S> {
    pub(super) fn new(inner: S, shared: Option<Arc<Shared>>) -> Self {
        let beside = shared.map(|shared| Arc::new(Beside { shared, spare: inner.clone() }));
        Self { inner, beside }
    }
}

impl<S, Req, Res> Service<Request<Req>> for HedgedCall<S>
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
        let race = self.beside.as_ref().and_then(|beside| Race::begin::<Res>(beside, &mut request));
        let inner = self.inner.call(request);
        let state = match race {
            None => State::Once { inner },
            Some(race) => State::Raced { race, first: Some(inner), timer: None },
        };
        ResponseFuture { state }
    }
}

/// A call that may have several requests out.
struct Race<S, Req>
where
    S: Service<Request<Req>>,
{
    beside: Arc<Beside<S>>,
    started: Instant,
    /// When the next request is due.
    due: Option<Instant>,
    /// How many requests were sent.
    sent: u32,
    /// `None` when there will be no further request.
    kept: Option<Kept<Req>>,
    others: Vec<Other<S, Req>>,
}

/// A request beside the first.
type Other<S, Req> = Pin<Box<Oneshot<S, Request<Req>>>>;

/// What a further request needs.
struct Kept<Req> {
    context: Context,
    message: Req,
    delay: Duration,
    max_attempts: u32,
}

impl<S, Req> Race<S, Req>
where
    S: Service<Request<Req>>,
    Req: Payload,
{
    /// A call that is timed, and hedged if it is known when.
    fn begin<Res: Payload>(beside: &Arc<Beside<S>>, request: &mut Request<Req>) -> Option<Self> {
        let shared = &beside.shared;
        let config = shared.config();
        let hedges = !Req::IS_STREAM
            && !Res::IS_STREAM
            && config.max_attempts > 1
            // Whoever is before us tries again already.
            && request.context().previous_attempts() == 0
            && shared.may_repeat(&config);
        if !hedges {
            return None;
        }
        shared.budget().count(request.context_mut());
        let delay = shared.watched.delay(&config);
        let kept = delay.filter(|_| request.message().encoded_len() as u64 <= config.max_replay).and_then(|delay| {
            let (context, message) = (request.context().clone(), request.message().try_clone()?);
            Some(Kept { context, message, delay, max_attempts: config.max_attempts })
        });
        let started = Instant::now();
        let due = kept.as_ref().and_then(|kept| started.checked_add(kept.delay));
        Some(Self { beside: Arc::clone(beside), started, due, sent: 1, kept, others: Vec::new() })
    }
}

impl<S, Req, Res> Race<S, Req>
where
    S: Service<Request<Req>, Response = Response<Res>> + Clone,
    S::Error: Into<Error>,
    Req: Payload,
{
    /// Sends a further request, and sets when the next is due.
    fn hedge(&mut self) {
        self.due = None;
        let Some(mut kept) = self.kept.take() else { return };
        let Some(permit) = self.beside.shared.budget().withdraw() else {
            add(&self.beside.shared.watched.figures.exhausted, 1);
            tell(&kept.context, || "no hedge: the retry budget is used up".to_owned());
            return;
        };
        let more = self.sent.saturating_add(1) < kept.max_attempts;
        let context = kept.context.attempt(self.sent);
        let delay = kept.delay;
        tell(&kept.context, || {
            format!("hedge {} after {}", self.sent, crate::duration::format(self.started.elapsed()))
        });
        let message = if more {
            let Some(copy) = kept.message.try_clone() else { return };
            let message = std::mem::replace(&mut kept.message, copy);
            self.kept = Some(kept);
            message
        } else {
            kept.message
        };
        permit.spend();
        self.sent = self.sent.saturating_add(1);
        let service = S::clone(&self.beside.spare);
        self.others.push(Box::pin(service.oneshot(Request::new(context, message))));
        if more {
            self.due = Instant::now().checked_add(delay);
        }
    }

    /// Polls the requests beside the first.
    fn poll_others(&mut self, cx: &mut TaskContext<'_>, first_runs: bool) -> Poll<Result<Response<Res>, Error>> {
        let mut at = 0;
        while let Some(other) = self.others.get_mut(at) {
            let Poll::Ready(result) = other.as_mut().poll(cx) else {
                at += 1;
                continue;
            };
            drop(self.others.swap_remove(at));
            let result = result.map_err(Into::into);
            let figures = &self.beside.shared.watched.figures;
            add(if is_answer(&result) { &figures.won } else { &figures.failed }, 1);
            if let Poll::Ready(result) = self.ended(result, first_runs) {
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    }

    /// What becomes of the outcome of a request: pending while another one may do better.
    fn ended(&mut self, result: Result<Response<Res>, Error>, first_runs: bool) -> Poll<Result<Response<Res>, Error>> {
        if is_answer(&result) {
            let now = Instant::now();
            self.beside.shared.record(now, now.saturating_duration_since(self.started));
            self.drop_others();
            return Poll::Ready(result);
        }
        // More requests are no help to a service that fails.
        self.kept = None;
        if first_runs || !self.others.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(result.map_err(|error| match (self.sent, error.log()) {
            (1, _) => error,
            (sent, Some(log)) => {
                let log = format!("{log}; {sent} requests");
                error.with_log(log)
            }
            (sent, None) => error.with_log(format!("{sent} requests")),
        }))
    }
}

impl<S, Req> Race<S, Req>
where
    S: Service<Request<Req>>,
{
    fn drop_others(&mut self) {
        add(&self.beside.shared.watched.figures.lost, self.others.len() as u64);
        self.others.clear();
    }
}

impl<S, Req> Drop for Race<S, Req>
where
    S: Service<Request<Req>>,
{
    fn drop(&mut self) {
        self.drop_others();
    }
}

/// Whether the service has said what there is to say; another request would not do better.
fn is_answer<Res>(result: &Result<Response<Res>, Error>) -> bool {
    result.as_ref().err().is_none_or(|error| error.class() == Class::Caller)
}

fn add(figure: &AtomicU64, count: u64) {
    if count > 0 {
        figure.fetch_add(count, Ordering::Relaxed);
    }
}

/// Tells the span of the call, if it is recorded.
fn tell(cx: &Context, what: impl FnOnce() -> String) {
    #[cfg(feature = "trace")]
    if let Some(span) = cx.span().filter(|span| span.is_recorded()) {
        span.annotate(what());
    }
    #[cfg(not(feature = "trace"))]
    let _ = (cx, what);
}

pin_project! {
    /// The future of a call that may have several requests out. Dropping it drops them all.
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
        // It is not hedged.
        Once { #[pin] inner: S::Future },
        Raced { race: Race<S, Req>, #[pin] first: Option<S::Future>, timer: Option<Pin<Box<Sleep>>> },
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
        let (race, mut first, timer) = match self.project().state.project() {
            Projected::Once { inner } => return inner.poll(cx).map_err(Into::into),
            Projected::Raced { race, first, timer } => (race, first, timer),
        };
        loop {
            let polled = first.as_mut().as_pin_mut().map_or(Poll::Pending, |inner| inner.poll(cx));
            if let Poll::Ready(result) = polled {
                first.set(None);
                if let Poll::Ready(result) = race.ended(result.map_err(Into::into), false) {
                    return Poll::Ready(result);
                }
            }
            let first_runs = first.is_some();
            if let Poll::Ready(result) = race.poll_others(cx, first_runs) {
                first.set(None);
                return Poll::Ready(result);
            }
            let Some(due) = race.due else { return Poll::Pending };
            ready!(timer.get_or_insert_with(|| Box::pin(sleep_until(due))).as_mut().poll(cx));
            *timer = None;
            // Polled at the top: a request has to be polled once before anybody wakes us for it.
            race.hedge();
            if race.due.is_none() && race.others.is_empty() {
                return Poll::Pending;
            }
        }
    }
}
