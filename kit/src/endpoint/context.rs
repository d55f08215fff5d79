use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Extensions, HeaderName};
use tokio::time::{Duration, Instant};

use super::{Metadata, Method, RequestId};
use crate::Error;

/// The door that a call came through; its name is the `transport` label of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
pub struct Context(Arc<Inner>);

struct Inner {
    method: Option<Method>,
    transport: Transport,
    metadata: Metadata,
    outgoing: Metadata,
    deadline: Option<Instant>,
    request_id: RequestId,
    peer: Option<Arc<Peer>>,
    extensions: Extensions,
    // Never held across an await: it is locked for one insertion at a time.
    answer: Mutex<Metadata>,
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        Self {
            method: self.method.clone(),
            transport: self.transport,
            metadata: self.metadata.clone(),
            outgoing: self.outgoing.clone(),
            deadline: self.deadline,
            request_id: self.request_id.clone(),
            peer: self.peer.clone(),
            extensions: self.extensions.clone(),
            answer: Mutex::default(),
        }
    }
}

/// Trace headers that go on to the next hop as they came, so that a trace does not break at a service that has no tracer.
const TRACE_HEADERS: [HeaderName; 7] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("b3"),
    HeaderName::from_static("x-b3-traceid"),
    HeaderName::from_static("x-b3-spanid"),
    HeaderName::from_static("x-b3-parentspanid"),
    HeaderName::from_static("x-b3-sampled"),
];

impl Context {
    /// The context of a call that no other call led to: a new request id, no deadline.
    pub fn background() -> Self {
        Self(Arc::new(Inner {
            method: None,
            transport: Transport::Local,
            metadata: Metadata::new(),
            outgoing: Metadata::new(),
            deadline: None,
            request_id: RequestId::random(),
            peer: None,
            extensions: Extensions::new(),
            answer: Mutex::default(),
        }))
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
        Self(Arc::new(Inner {
            method: Some(method),
            transport,
            metadata,
            outgoing: Metadata::new(),
            deadline,
            request_id,
            peer,
            extensions: Extensions::new(),
            answer: Mutex::default(),
        }))
    }

    /// The context of a call to `method` that this call makes.
    ///
    /// Deadline, request id, peer-independent trace headers and the outgoing metadata go with it.
    #[must_use]
    pub fn next(&self, method: &Method) -> Self {
        let mut metadata = self.0.outgoing.clone();
        if !self.0.metadata.is_empty() {
            for name in &TRACE_HEADERS {
                if metadata.get(name.as_str()).is_none() {
                    metadata.copy_from(&self.0.metadata, name);
                }
            }
        }
        Self(Arc::new(Inner {
            method: Some(method.clone()),
            transport: Transport::Local,
            metadata,
            outgoing: self.0.outgoing.clone(),
            deadline: self.0.deadline,
            request_id: self.0.request_id.clone(),
            peer: None,
            extensions: Extensions::new(),
            answer: Mutex::default(),
        }))
    }

    /// The method that is called; `None` for [`Context::background`].
    pub fn method(&self) -> Option<&Method> {
        self.0.method.as_ref()
    }

    /// The door that the call came through.
    pub fn transport(&self) -> Transport {
        self.0.transport
    }

    /// What the caller sent beside the message. Headers of the transport itself are not in it.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The id of the request, the same through every process and log line.
    pub fn request_id(&self) -> &RequestId {
        &self.0.request_id
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// How long the caller still waits; zero when the deadline has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Who calls; `None` for calls inside the process.
    pub fn peer(&self) -> Option<&Peer> {
        self.0.peer.as_deref()
    }

    /// A value that a middleware left for those behind it.
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.extensions.get()
    }

    /// Leaves a value for those behind.
    pub fn set_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        Arc::make_mut(&mut self.0).extensions.insert(value);
    }

    /// Changes what was sent beside the message: what a client's middleware adds goes to the service.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut Arc::make_mut(&mut self.0).metadata
    }

    /// Sets the deadline.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        if self.0.deadline != deadline {
            Arc::make_mut(&mut self.0).deadline = deadline;
        }
    }

    /// This context with a deadline `timeout` from now, or its own if that comes earlier.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        let ours = Instant::now().checked_add(timeout);
        let deadline = match (self.0.deadline, ours) {
            (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
            (theirs, ours) => theirs.or(ours),
        };
        self.set_deadline(deadline);
        self
    }

    /// This context with a request id.
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        Arc::make_mut(&mut self.0).request_id = id;
        self
    }

    /// This context with metadata for every call that is made with it, and for theirs inside this process.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name or the value can't be sent.
    pub fn with_outgoing(mut self, name: &str, value: &str) -> Result<Self, Error> {
        Arc::make_mut(&mut self.0).outgoing.append(name, value)?;
        Ok(self)
    }

    /// Adds metadata to the answer of the call that this context belongs to, from inside its handler.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name or the value can't be sent.
    pub fn set_response_metadata(&self, name: &str, value: &str) -> Result<(), Error> {
        self.0.answer.lock().unwrap_or_else(PoisonError::into_inner).append(name, value)
    }

    pub(crate) fn take_response_metadata(&self) -> Metadata {
        std::mem::take(&mut *self.0.answer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("method", &self.0.method)
            .field("transport", &self.0.transport)
            .field("request_id", &self.0.request_id)
            .field("metadata", &self.0.metadata)
            .finish_non_exhaustive()
    }
}
