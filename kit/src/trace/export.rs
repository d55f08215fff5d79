use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;
use zipkin::{Kind, TraceContext};

use super::Text;

/// A span that is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FinishedSpan {
    /// Its ids.
    pub context: TraceContext,
    /// The `tracestate` of W3C that came with the trace.
    pub state: Option<Arc<str>>,
    /// What was done: `details.BookDetails/Detail`.
    pub name: Text,
    /// Which side of a call it saw; `None` for work inside the service.
    pub kind: Option<Kind>,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Whether the caller has the same span, seen from its side.
    pub shared: bool,
    /// The service that it was in.
    pub local: Arc<zipkin::Endpoint>,
    /// The name of the service at the other end.
    pub remote_service: Option<Text>,
    /// The address of the other end.
    pub remote_address: Option<SocketAddr>,
    /// What happened, in order.
    pub annotations: Vec<Annotation>,
    /// Names and values, each name once.
    pub tags: Vec<(Text, Text)>,
}

/// Something that happened inside a span.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Annotation {
    /// When.
    pub time: SystemTime,
    /// What.
    pub value: Text,
}

impl FinishedSpan {
    /// The value of a tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value)
    }

    /// About how much memory it takes.
    pub fn size(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(name, value)| name.size() + value.size()).sum();
        let annotations: usize = self.annotations.iter().map(|one| size_of::<SystemTime>() + one.value.size()).sum();
        size_of::<Self>() + tags + annotations
    }
}

/// Takes finished spans away. Called in the middle of calls: must not wait.
pub trait Export: Send + Sync + 'static {
    /// Takes a span, or drops and counts it.
    fn export(&self, span: FinishedSpan);

    /// Whether a span that begins now is worth recording. Asked before anything of it is kept; who says no, for want of room, has counted
    /// it as dropped. Default: true.
    fn admit(&self) -> bool {
        true
    }

    /// Whether the server's span of a call has the id of the client's, as Zipkin's model has it. Default: false.
    fn joins(&self) -> bool {
        false
    }
}

impl<E: Export + ?Sized> Export for Arc<E> {
    fn export(&self, span: FinishedSpan) {
        (**self).export(span);
    }
    fn admit(&self) -> bool {
        (**self).admit()
    }
    fn joins(&self) -> bool {
        (**self).joins()
    }
}

/// The last finished spans in memory: what a test looks at. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    // Locked for one span at a time.
    spans: Mutex<VecDeque<FinishedSpan>>,
    joins: bool,
    added: Notify,
}

/// More than a test reads, and a few megabytes at most.
const KEPT: usize = 10_000;

impl Memory {
    /// Keeps spans; server and client have a span each, as with OTLP.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps spans; with B3, server and client share one, as with Zipkin.
    pub fn joining() -> Self {
        Self(Arc::new(Kept { joins: true, ..Kept::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<FinishedSpan>> {
        self.0.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spans that are over, in the order in which they ended.
    pub fn spans(&self) -> Vec<FinishedSpan> {
        self.lock().iter().cloned().collect()
    }

    /// Waits until so many spans are over. Cancel-safe.
    pub async fn wait_for(&self, count: usize) -> Vec<FinishedSpan> {
        loop {
            let mut added = std::pin::pin!(self.0.added.notified());
            added.as_mut().enable();
            let spans = self.spans();
            if spans.len() >= count {
                return spans;
            }
            added.await;
        }
    }
}

impl Export for Memory {
    fn export(&self, span: FinishedSpan) {
        let mut spans = self.lock();
        if spans.len() >= KEPT {
            spans.pop_front();
        }
        spans.push_back(span);
        drop(spans);
        self.0.added.notify_waiters();
    }
    fn joins(&self) -> bool {
        self.0.joins
    }
}
