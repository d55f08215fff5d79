use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::{
    control::Wish,
    entry::Entry,
    handle::{MethodCache, digest},
};
use crate::{
    Code, Error, Payload, Request, Response,
    layer::degraded::{self, tell},
};

/// Answers calls from a cache: see the [module](super).
#[derive(Clone)]
pub struct ResponseCacheService<S> {
    inner: S,
    /// `None` where nothing is kept.
    method: Option<Arc<MethodCache>>,
}

impl<S> ResponseCacheService<S> {
    pub(super) fn new(inner: S, method: Option<Arc<MethodCache>>) -> Self {
        // Decided once: the settings are those it was made with.
        Self { inner, method: method.filter(|method| method.keeps()) }
    }
}

impl<S, Req, Res> Service<Request<Req>> for ResponseCacheService<S>
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
        let asked = self.method.as_ref().and_then(|method| Some((method, Asked::of::<Req, Res>(method, &request)?)));
        let Some((method, asked)) = asked else {
            return ResponseFuture { state: State::Past { inner: self.inner.call(request) } };
        };
        let method = Arc::clone(method);
        let spare = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, spare);
        let kept = Box::pin(async move {
            let Some(deadline) = request.context().deadline() else {
                return method.answer(asked, service, request).await;
            };
            // Of calls that miss together all but one wait, and each has its own time.
            timeout_at(deadline, method.answer(asked, service, request)).await.unwrap_or_else(|_| {
                Err(Error::deadline_exceeded("the deadline of the call passed before it was answered"))
            })
        });
        ResponseFuture { state: State::Kept { kept } }
    }
}

/// What a call asks the cache.
struct Asked {
    digest: String,
    /// Whether no answer of before may be given.
    refresh: bool,
}

impl Asked {
    /// `None` for a call that goes past the cache.
    fn of<Req: Payload, Res: Payload>(method: &MethodCache, request: &Request<Req>) -> Option<Self> {
        if Req::IS_STREAM || Res::IS_STREAM {
            return None;
        }
        let obey = method.config.obey_callers;
        let wish = if obey { Wish::of(request.context().metadata()) } else { Wish::Any };
        let key = match wish {
            Wish::Past => None,
            Wish::Any | Wish::Refresh => method.config.vary().key_of(&method.method, request),
        };
        if key.is_none() {
            count(&method.figures.bypassed);
        }
        Some(Self { digest: digest(&key?), refresh: wish == Wish::Refresh })
    }
}

fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

impl MethodCache {
    async fn answer<S, Req, Res>(
        &self,
        asked: Asked,
        mut service: S,
        request: Request<Req>,
    ) -> Result<Response<Res>, Error>
    where
        S: Service<Request<Req>, Response = Response<Res>> + Send,
        S::Error: Into<Error>,
        S::Future: Send,
        Req: Payload,
        Res: Payload,
    {
        let (start, cx) = (self.now(), request.context().clone());
        if asked.refresh {
            // What runs began before this call was sent.
            self.entries.close(&asked.digest);
        }
        let (mut found, mut old, mut own) = (None, None, None);
        let fresh = |entry: &Entry| {
            if asked.refresh || !self.believes(entry) {
                return false;
            }
            let now = self.now();
            if entry.is_fresh(now) {
                found = entry.answer::<Res>(now);
            } else if self.may_serve_stale(entry, now) {
                old = Some(entry.clone());
            }
            found.is_some()
        };
        let load = || async {
            match service.call(request).await.map_err(Into::into) {
                Ok(answer) => {
                    let entry = Entry::of(&answer, start, self.jittered(self.ttl));
                    own = Some(Ok(answer));
                    entry.ok_or_else(|| Error::internal("a stream can't be kept"))
                }
                Err(error) if error.code() == Code::NotFound && !self.config.negative_ttl.is_zero() => {
                    let entry = Entry::of_missing(&error, start, self.jittered(self.config.negative_ttl));
                    own = Some(Err(error));
                    Ok(entry)
                }
                Err(error) => Err::<_, Error>(error),
            }
        };
        let outcome = self.entries.get_or_load_by(&asked.digest, fresh, |entry| self.lifetime(entry), load).await;
        match (outcome, found, own) {
            (_, Some(found), _) => {
                count(&self.figures.hit);
                tell(&cx, || "answered from the cache".to_owned());
                found
            }
            (_, _, Some(own)) => {
                count(&self.figures.miss);
                own
            }
            (Ok(entry), None, None) => {
                count(&self.figures.shared);
                tell(&cx, || "got the outcome of an equal call".to_owned());
                entry.answer(self.now()).ok_or_else(|| Error::internal("what was shared can't be read"))?
            }
            (Err(error), None, None) => self.stale(old, &error, cx.deadline()).unwrap_or(Err(error)),
        }
    }

    /// An old answer in the place of an error, if there is one and somebody still listens.
    fn stale<Res: Payload>(
        &self,
        old: Option<Entry>,
        error: &Error,
        deadline: Option<Instant>,
    ) -> Option<Result<Response<Res>, Error>> {
        let late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        let answer = old.filter(|entry| degraded::is_outage(error) && self.believes(entry) && !late());
        let Some(Ok(mut answer)) = answer.and_then(|entry| entry.answer::<Res>(self.now())) else {
            count(&self.figures.miss);
            return None;
        };
        count(&self.figures.stale);
        tracing::debug!(error = %error.to_log(), "a call failed and is answered by what was kept");
        degraded::mark(answer.metadata_mut(), "stale-if-error");
        Some(Ok(answer))
    }
}

pin_project! {
    /// The future of a call that may be answered from a cache. Dropping it drops the call, unless it is another's.
    pub struct ResponseFuture<F, Res> {
        #[pin]
        state: State<F, Res>,
    }
}

type Kept<Res> = Pin<Box<dyn Future<Output = Result<Response<Res>, Error>> + Send>>;

pin_project! {
    #[project = Projected]
    enum State<F, Res> {
        Past { #[pin] inner: F },
        Kept { kept: Kept<Res> },
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
            Projected::Past { inner } => inner.poll(cx).map_err(Into::into),
            Projected::Kept { kept } => kept.as_mut().poll(cx),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ResponseCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCacheService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<F, Res> fmt::Debug for ResponseFuture<F, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
