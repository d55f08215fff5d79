use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use http::{Extensions, HeaderName, HeaderValue};
use tokio::time::{Duration, Instant};

use super::{Metadata, Method, RequestId, trace_headers};
use crate::Error;
#[cfg(feature = "trace")]
use crate::trace::{OpenSpan, Span, Text};

/// The door that a call came through; its name is the `transport` label of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// gRPC.
    Grpc,
    /// HTTP/JSON.
    Http,
    /// A call inside the process.
    #[default]
    Local,
}

impl Transport {
    /// `grpc`, `http` or `local`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::Local => "local",
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The address, as the socket tells it.
    pub address: Option<SocketAddr>,
    /// The certificates that the peer showed, its own first, in DER; empty without mutual TLS.
    pub certificates: Vec<Vec<u8>>,
}

/// What belongs to one call beside its message: method, metadata, deadline, peer, request id.
///
/// Cheap to clone. A handler gets the context of the call it serves and hands it to the clients it uses: deadline, request
/// id, trace headers and the metadata meant for the next hop travel on; nothing of an upstream's answer comes back.
///
/// ```
/// use kit::Context;
/// use std::time::Duration;
///
/// let cx = Context::background().with_timeout(Duration::from_secs(2)).with_outgoing("x-tenant", "blue")?;
/// assert!(cx.remaining().is_some());
/// # Ok::<(), kit::Error>(())
/// ```
#[derive(Clone)]
pub struct Context {
    // Beside the shared part, because every call has its deadline set and nothing should be copied for it.
    deadline: Option<Instant>,
    // Whether it is the caller's own, so that nobody here is to blame when it passes.
    deadline_excuses: bool,
    // For the same reason.
    #[cfg(feature = "trace")]
    span: Option<Span>,
    // The retry budget that has counted this call, by its address; 0 for none.
    counted_in: usize,
    inner: Arc<Inner>,
}

struct Inner {
    method: Option<Method>,
    transport: Transport,
    metadata: Metadata,
    outgoing: Metadata,
    request_id: RequestId,
    peer: Option<Arc<Peer>>,
    extensions: Extensions,
    // Shared by all that is derived from the context of one call, and made when there is something to share.
    answer: OnceLock<SharedMetadata>,
}

/// Never held across an await: it is locked for one insertion at a time.
type SharedMetadata = Arc<Mutex<Metadata>>;

impl Clone for Inner {
    fn clone(&self) -> Self {
        Self {
            method: self.method.clone(),
            transport: self.transport,
            metadata: self.metadata.clone(),
            outgoing: self.outgoing.clone(),
            request_id: self.request_id.clone(),
            peer: self.peer.clone(),
            extensions: self.extensions.clone(),
            answer: OnceLock::from(Arc::clone(self.answer())),
        }
    }
}

impl Inner {
    fn answer(&self) -> &SharedMetadata {
        self.answer.get_or_init(SharedMetadata::default)
    }
}

/// What a handler says beside its answer.
pub(super) struct Answer(Arc<Inner>);

impl Answer {
    /// What was said by now; `None` for nothing.
    pub(super) fn take(&self) -> Option<Metadata> {
        let said = std::mem::take(&mut *self.0.answer.get()?.lock().unwrap_or_else(PoisonError::into_inner));
        (!said.is_empty()).then_some(said)
    }
}

/// gRPC's name for how often a call was tried before, from its text on retries (gRFC A6). Over HTTP/JSON it is the same.
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

impl Context {
    fn of(deadline: Option<Instant>, inner: Inner) -> Self {
        Self {
            deadline,
            deadline_excuses: false,
            #[cfg(feature = "trace")]
            span: None,
            counted_in: 0,
            inner: Arc::new(inner),
        }
    }

    /// The context of a call that no other call led to: a new request id, no deadline.
    pub fn background() -> Self {
        Self::of(
            None,
            Inner {
                method: None,
                transport: Transport::Local,
                metadata: Metadata::new(),
                outgoing: Metadata::new(),
                request_id: RequestId::random(),
                peer: None,
                extensions: Extensions::new(),
                answer: OnceLock::new(),
            },
        )
    }

    /// The context of a call that arrived through a transport.
    #[cfg(any(feature = "grpc", feature = "http"))]
    pub(crate) fn arrived(
        method: Method,
        transport: Transport,
        metadata: Metadata,
        deadline: Option<Instant>,
        request_id: RequestId,
        peer: Option<Arc<Peer>>,
    ) -> Self {
        Self::of(
            deadline,
            Inner {
                method: Some(method),
                transport,
                metadata,
                outgoing: Metadata::new(),
                request_id,
                peer,
                extensions: Extensions::new(),
                answer: OnceLock::new(),
            },
        )
    }

    /// The context of a call to `method` that this call makes.
    ///
    /// Deadline, request id, the open span and the outgoing metadata go with it, and that the call is part of a repeated attempt if
    /// it is ([`Context::previous_attempts`]). Where no trace is going on here, the
    /// headers of the caller's go on as they came.
    #[must_use]
    pub fn next(&self, method: &Method) -> Self {
        let mut metadata = self.inner.outgoing.clone();
        if !self.inner.metadata.is_empty() && !self.is_traced() {
            let outgoing = self.inner.outgoing.headers();
            let wanted = |name: &str| trace_headers::is_one(name) && !outgoing.contains_key(name);
            metadata.copy_where(&self.inner.metadata, wanted);
        }
        let previous = self.previous_attempts();
        if previous > 0 {
            metadata.set(PREVIOUS_ATTEMPTS, HeaderValue::from(previous));
        }
        let next = Self::of(
            self.deadline,
            Inner {
                method: Some(method.clone()),
                transport: Transport::Local,
                metadata,
                outgoing: self.inner.outgoing.clone(),
                request_id: self.inner.request_id.clone(),
                peer: None,
                extensions: Extensions::new(),
                answer: OnceLock::new(),
            },
        );
        #[cfg(feature = "trace")]
        let next = Self { span: self.span.clone(), ..next };
        Self { deadline_excuses: self.deadline_excuses, ..next }
    }

    fn is_traced(&self) -> bool {
        #[cfg(feature = "trace")]
        return self.span.is_some();
        #[cfg(not(feature = "trace"))]
        false
    }

    /// The span that is open: with a tracer every call has one, recorded or not.
    #[cfg(feature = "trace")]
    pub fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// Opens a span of your own inside the one that is open. It ends when it is dropped, and does nothing where no trace is
    /// going on.
    ///
    /// ```
    /// # let cx = kit::Context::background();
    /// let span = cx.child_span("sort");
    /// span.tag("by", "price");
    /// // A call that belongs inside gets the context of the span.
    /// let inside = cx.with_span(span.span());
    /// # let _ = inside;
    /// ```
    #[cfg(feature = "trace")]
    pub fn child_span(&self, name: impl Into<Text>) -> OpenSpan {
        self.span.as_ref().map_or_else(|| OpenSpan::new(None), |span| span.child(name))
    }

    /// This context inside a span.
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn with_span(&self, span: Option<&Span>) -> Self {
        Self { span: span.or(self.span.as_ref()).cloned(), ..self.clone() }
    }

    /// Sets the span that is open for those behind.
    #[cfg(feature = "trace")]
    pub fn set_span(&mut self, span: Option<Span>) {
        self.span = span;
    }

    /// What is sent by a call that leaves with this context. One that arrived here, and is passed on to an endpoint that
    /// calls elsewhere, sends what [`Context::next`] would: never all that our own caller sent.
    #[cfg(any(feature = "grpc", feature = "http"))]
    pub(crate) fn departing(&self) -> http::HeaderMap {
        match (self.inner.transport, &self.inner.method) {
            (Transport::Local, _) | (_, None) => self.inner.metadata.headers().clone(),
            (_, Some(method)) => self.next(method).inner.metadata.headers().clone(),
        }
    }

    /// The method that is called; `None` for [`Context::background`].
    pub fn method(&self) -> Option<&Method> {
        self.inner.method.as_ref()
    }

    /// The door that the call came through.
    pub fn transport(&self) -> Transport {
        self.inner.transport
    }

    /// What the caller sent beside the message. Headers of the transport itself are not in it.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// The id of the request, the same through every process and log line.
    pub fn request_id(&self) -> &RequestId {
        &self.inner.request_id
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long the caller still waits; zero when the deadline has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// How often this call, or one that led to it, was tried before: 0 for a first attempt.
    ///
    /// It is the metadata `grpc-previous-rpc-attempts`, believed from anyone, because all that it does is that nobody further on
    /// tries again: a call that is repeated is not repeated once more at every hop.
    pub fn previous_attempts(&self) -> u32 {
        if self.inner.metadata.is_empty() {
            return 0;
        }
        let value = self.inner.metadata.headers().get(&PREVIOUS_ATTEMPTS);
        value.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
    }

    /// The context of a further attempt of the same call, after `previous` others. What it leaves for its answer is its own.
    pub(crate) fn attempt(&self, previous: u32) -> Self {
        let mut attempt = self.clone();
        let inner = Arc::make_mut(&mut attempt.inner);
        inner.metadata.set(PREVIOUS_ATTEMPTS, HeaderValue::from(previous));
        inner.answer = OnceLock::new();
        attempt
    }

    pub(crate) fn counted_in(&self) -> usize {
        self.counted_in
    }

    pub(crate) fn set_counted_in(&mut self, budget: usize) {
        self.counted_in = budget;
    }

    /// Who calls; `None` for calls inside the process.
    pub fn peer(&self) -> Option<&Peer> {
        self.inner.peer.as_deref()
    }

    /// A value that a middleware left for those behind it.
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.inner.extensions.get()
    }

    /// Leaves a value for those behind.
    pub fn set_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        Arc::make_mut(&mut self.inner).extensions.insert(value);
    }

    /// Changes what was sent beside the message: what a client's middleware adds goes to the service.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut Arc::make_mut(&mut self.inner).metadata
    }

    /// Sets the deadline.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Says that the deadline is one that the caller chose, shorter than anybody could promise: what misses it speaks against nobody here,
    /// nor further on.
    pub(crate) fn excuse_deadline(&mut self, excuses: bool) {
        self.deadline_excuses = excuses;
    }

    /// See [`Context::excuse_deadline`].
    pub(crate) fn deadline_excuses(&self) -> bool {
        self.deadline_excuses
    }

    /// This context with a deadline `timeout` from now, or its own if that comes earlier.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        let ours = Instant::now().checked_add(timeout);
        let deadline = match (self.deadline, ours) {
            (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
            (theirs, ours) => theirs.or(ours),
        };
        // A time of our own is our own choice, unless it is about all that a caller in a hurry left.
        self.deadline_excuses &= self.remaining().is_some_and(|left| timeout.saturating_mul(2) >= left);
        self.set_deadline(deadline);
        self
    }

    /// This context with a request id.
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        Arc::make_mut(&mut self.inner).request_id = id;
        self
    }

    /// This context with metadata for every call that is made with it, and for theirs inside this process.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name or the value can't be sent.
    pub fn with_outgoing(mut self, name: &str, value: &str) -> Result<Self, Error> {
        Arc::make_mut(&mut self.inner).outgoing.append(name, value)?;
        Ok(self)
    }

    /// As [`Context::with_outgoing`], for bytes under a name that ends in `-bin`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name can't be sent or does not end in `-bin`.
    pub fn with_outgoing_bin(mut self, name: &str, value: &[u8]) -> Result<Self, Error> {
        Arc::make_mut(&mut self.inner).outgoing.append_bin(name, value)?;
        Ok(self)
    }

    /// Adds metadata to the answer of the call that this context belongs to, from inside its handler.
    ///
    /// It is read when the handler returns: what a stream sets later comes too late.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name or the value can't be sent.
    pub fn set_response_metadata(&self, name: &str, value: &str) -> Result<(), Error> {
        self.inner.answer().lock().unwrap_or_else(PoisonError::into_inner).append(name, value)
    }

    /// As [`Context::set_response_metadata`], for bytes under a name that ends in `-bin`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name can't be sent or does not end in `-bin`.
    pub fn set_response_metadata_bin(&self, name: &str, value: &[u8]) -> Result<(), Error> {
        self.inner.answer().lock().unwrap_or_else(PoisonError::into_inner).append_bin(name, value)
    }

    pub(crate) fn take_response_metadata(&self) -> Metadata {
        self.answer().take().unwrap_or_default()
    }

    /// What the handler that gets this context says beside its answer.
    pub(super) fn answer(&self) -> Answer {
        Answer(Arc::clone(&self.inner))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("method", &self.inner.method)
            .field("transport", &self.inner.transport)
            .field("request_id", &self.inner.request_id)
            .field("metadata", &self.inner.metadata)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "grpc", feature = "http")))]
mod tests {
    use super::*;
    use crate::{MethodInfo, MethodKind};

    #[test]
    fn headers_of_a_trace_go_on_unless_the_call_has_its_own() {
        let mut came = Metadata::new();
        for (name, value) in [
            ("x-b3-traceid", "theirs"),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
            ("b3", "theirs"),
            ("cookie", "no"),
        ] {
            came.append(name, value).unwrap();
        }
        let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
        let cx = Context::arrived(method.clone(), Transport::Http, came, None, RequestId::random(), None);
        let next = cx.with_outgoing("b3", "ours").unwrap().next(&method);
        let mut sent: Vec<_> = next.metadata().iter().collect();
        sent.sort_unstable();
        assert_eq!(sent, [("b3", "ours"), ("tracestate", "a=1"), ("tracestate", "b=2"), ("x-b3-traceid", "theirs")]);
    }
}
