use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream as _;
use pin_project_lite::pin_project;
use tower::Service;

use super::limit::Limit;
use crate::{
    Class, Context, Error, Message, Payload, Request, Response, Streaming,
    endpoint::MapStream,
    error::stack::capturing,
    telemetry::report::{ErrorReports, Failure, Json},
};

/// Reports calls that fail: see the [module](super).
#[derive(Clone)]
pub struct Report<S> {
    pub(super) inner: S,
    /// `None` where nothing is reported.
    pub(super) shared: Option<Arc<Shared>>,
}

impl<S: fmt::Debug> fmt::Debug for Report<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What the calls of one method share.
pub(super) struct Shared {
    pub(super) reports: ErrorReports,
    pub(super) limit: Limit,
}

impl<S, Req, Res> Service<Request<Req>> for Report<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(shared) = &self.shared else { return ResponseFuture { inner: self.inner.call(request), call: None } };
        let mut call = Call {
            // A storm of errors costs no copies and no stacks.
            open: shared.limit.is_open(),
            shared: Arc::clone(shared),
            context: request.context().clone(),
            sent: Kept::Nothing,
        };
        let request = call.keep(request);
        let inner = capturing(call.open, || self.inner.call(request));
        ResponseFuture { inner, call: Some(call) }
    }
}

/// A call that may fail yet.
struct Call {
    shared: Arc<Shared>,
    context: Context,
    open: bool,
    sent: Kept,
}

/// What is kept of what the caller sent.
enum Kept {
    Nothing,
    Message(Json),
    Stream(Arc<Seen>),
}

/// What was read of the caller's stream.
#[derive(Default)]
struct Seen {
    count: AtomicU64,
    last: Mutex<Option<Json>>,
}

impl Call {
    fn keep<Req: Payload>(&mut self, request: Request<Req>) -> Request<Req> {
        let limit = self.shared.reports.max_body();
        if !self.open {
            return request;
        }
        if Req::IS_STREAM {
            let seen = Arc::new(Seen::default());
            self.sent = Kept::Stream(Arc::clone(&seen));
            return request.map(|payload| payload.map_stream(Watch { seen, limit }));
        }
        if let Some(json) = kept(request.message(), limit) {
            self.sent = Kept::Message(json);
        }
        request
    }

    /// Reports an error, if it is to be.
    fn failed(self, error: &Error, sent: Option<u64>) {
        if error.class() != Class::Fault {
            return;
        }
        if !self.shared.limit.pass() {
            self.shared.reports.count_limited();
            return;
        }
        let (request, received) = match self.sent {
            Kept::Nothing => (None, None),
            Kept::Message(json) => (Some(json), None),
            Kept::Stream(seen) => {
                let last = seen.last.lock().unwrap_or_else(PoisonError::into_inner).take();
                (last, Some(seen.count.load(Ordering::Relaxed)))
            }
        };
        let failure = Failure::new(self.context, error).with_request(request, received).with_sent(sent);
        self.shared.reports.send(failure);
    }
}

/// A copy of a message, to be shown if the call fails. Of one that is too long only how long it was.
fn kept<P: Payload>(payload: &P, limit: usize) -> Option<Json> {
    if payload.encoded_len() > limit {
        let instead = payload.to_json(limit);
        return Some(Box::new(move |_| instead));
    }
    let copy = payload.try_clone()?;
    Some(Box::new(move |limit| copy.to_json(limit)))
}

/// Remembers the last message of the caller's stream.
struct Watch {
    seen: Arc<Seen>,
    limit: usize,
}

impl MapStream for Watch {
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M> {
        stream.and_then(move |message| {
            self.seen.count.fetch_add(1, Ordering::Relaxed);
            *self.seen.last.lock().unwrap_or_else(PoisonError::into_inner) = kept(&message, self.limit);
            Ok(message)
        })
    }
}

pin_project! {
    /// The future of a call that is reported if it fails. Dropping it drops the call.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
    Res: Payload,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let open = this.call.as_ref().is_some_and(|call| call.open);
        let (inner, result) = (this.inner, this.call);
        let answer = ready!(capturing(open, || inner.poll(cx).map_err(Into::into)));
        let Some(call) = result.take() else { return Poll::Ready(answer) };
        Poll::Ready(match answer {
            Ok(response) if Res::IS_STREAM => Ok(response.map(|payload| payload.map_stream(Answers(call)))),
            Ok(response) => Ok(response),
            Err(error) => {
                call.failed(&error, None);
                Err(error)
            }
        })
    }
}

/// Reports the error that a stream of answers ends with.
struct Answers(Call);

impl MapStream for Answers {
    fn map<M: Message>(self, mut stream: Streaming<M>) -> Streaming<M> {
        let mut call = Some(self.0);
        let mut sent = 0;
        Streaming::new(futures_util::stream::poll_fn(move |cx| {
            let open = call.as_ref().is_some_and(|call| call.open);
            let item = ready!(capturing(open, || Pin::new(&mut stream).poll_next(cx)));
            match (&item, call.take()) {
                (Some(Ok(_)), running) => {
                    sent += 1;
                    call = running;
                }
                (Some(Err(error)), Some(call)) => call.failed(error, Some(sent)),
                _ => {}
            }
            Poll::Ready(item)
        }))
    }
}
