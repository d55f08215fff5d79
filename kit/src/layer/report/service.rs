use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

use tower::Service;

use super::limit::Limit;
use crate::{
    Class, Context, Error, Message, Payload, Request, Response, Streaming,
    endpoint::MapStream,
    error::stack::{Capturing, capturing},
    layer::track::{Outcome, Track, Tracked},
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
pub(crate) struct Shared {
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
    type Future = Tracked<Capturing<S::Future>, Call>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(shared) = &self.shared else {
            return Tracked::new(Capturing::new(false, self.inner.call(request)), None);
        };
        let (call, request) = Call::start(shared, request);
        let inner = capturing(call.open, || self.inner.call(request));
        Tracked::new(Capturing::new(call.open, inner), call)
    }
}

/// A call that may fail yet.
pub struct Call {
    shared: Arc<Shared>,
    context: Context,
    open: bool,
    received: Kept,
    /// How many messages of a stream of answers were sent.
    sent: Option<u64>,
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
    /// Keeps what has to be known should the call fail.
    pub(crate) fn start<Req: Payload>(shared: &Arc<Shared>, request: Request<Req>) -> (Self, Request<Req>) {
        let mut call = Self {
            // A storm of errors costs no copies and no stacks.
            open: shared.limit.is_open(),
            shared: Arc::clone(shared),
            context: request.context().clone(),
            received: Kept::Nothing,
            sent: None,
        };
        let request = call.keep(request);
        (call, request)
    }

    /// Whether errors of the call are to know their stacks.
    pub(crate) fn wants_stacks(&self) -> bool {
        self.open
    }

    fn keep<Req: Payload>(&mut self, request: Request<Req>) -> Request<Req> {
        let limit = self.shared.reports.max_body();
        if !self.open {
            return request;
        }
        if Req::IS_STREAM {
            let seen = Arc::new(Seen::default());
            self.received = Kept::Stream(Arc::clone(&seen));
            return request.map(|payload| payload.map_stream(Watch { seen, limit }));
        }
        if let Some(json) = kept(request.message(), limit) {
            self.received = Kept::Message(json);
        }
        request
    }

    /// Reports an error, if it is to be.
    fn failed(self, error: &Error) {
        if error.class() != Class::Fault {
            return;
        }
        if !self.shared.limit.pass() {
            self.shared.reports.count_limited();
            return;
        }
        let (request, received) = match self.received {
            Kept::Nothing => (None, None),
            Kept::Message(json) => (Some(json), None),
            Kept::Stream(seen) => {
                let last = seen.last.lock().unwrap_or_else(PoisonError::into_inner).take();
                (last, Some(seen.count.load(Ordering::Relaxed)))
            }
        };
        let failure = Failure::new(self.context, error).with_request(request, received).with_sent(self.sent);
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

impl Track for Call {
    fn streaming(&mut self) {
        self.sent = Some(0);
    }

    fn message<P: Payload>(&mut self, _: &P) {
        if let Some(sent) = &mut self.sent {
            *sent += 1;
        }
    }

    fn within<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        capturing(self.open, poll)
    }

    fn end(self, outcome: Outcome<'_>) {
        if let Some(error) = outcome.error() {
            self.failed(error);
        }
    }
}
