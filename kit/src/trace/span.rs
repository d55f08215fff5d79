use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use tokio::time::Instant;
use zipkin::{Kind, TraceContext};

use super::{
    Annotation, Carrier, FinishedSpan, Hex, Propagation, Text, ids::new_span_id, propagation::inject, tracer::Shared,
};
use crate::endpoint::current;

/// A span that is open, or was: a handle to read its ids and to tell it more. Cheap to clone.
///
/// Whoever holds the [`OpenSpan`] ends it; what is told later is lost.
#[derive(Clone)]
pub struct Span(State);

#[derive(Clone)]
enum State {
    // Nothing to be told, so nothing to share: it allocates nothing.
    Unrecorded(Ids),
    Recorded(Arc<Recorded>),
}

/// What of a span travels.
#[derive(Clone)]
struct Ids {
    context: TraceContext,
    state: Option<Arc<str>>,
    // What the caller decided about recording, for formats that can't leave the decision open.
    wish: Option<bool>,
    kind: Option<Kind>,
    propagation: Propagation,
    // Whether servers join the span of their caller.
    joined: bool,
}

struct Recorded {
    ids: Ids,
    tracer: Arc<Shared>,
    // Empty for one that is over. Locked for one addition at a time.
    record: Mutex<Option<Box<Record>>>,
}

struct Record {
    name: Text,
    start: SystemTime,
    clock: Instant,
    shared: bool,
    remote_service: Option<Text>,
    remote_address: Option<SocketAddr>,
    annotations: Vec<Annotation>,
    tags: Vec<(Text, Text)>,
    dropped: u64,
}

impl Record {
    fn tag(&mut self, name: Text, value: Text, most: usize) {
        let (name, value) = (name.bounded(), value.bounded());
        // They are few: a search is cheaper than a map.
        if let Some((_, there)) = self.tags.iter_mut().find(|(there, _)| **there == *name) {
            *there = value;
        } else if self.tags.len() < most {
            self.tags.push((name, value));
        } else {
            self.dropped += 1;
        }
    }
}

/// Where a span has its ids from.
pub(super) struct Origin {
    pub(super) context: TraceContext,
    pub(super) state: Option<Arc<str>>,
    pub(super) wish: Option<bool>,
    pub(super) shared: bool,
}

impl Origin {
    pub(super) fn of(span: &Span) -> Self {
        let Ids { context, state, wish, .. } = span.ids();
        Self { context: *context, state: state.clone(), wish: *wish, shared: false }
    }

    pub(super) fn child_of(span: &Span) -> Self {
        Self { context: child(span.context()), ..Self::of(span) }
    }
}

fn child(parent: &TraceContext) -> TraceContext {
    zipkin::trace_context::Builder::from(*parent).parent_id(parent.span_id()).span_id(new_span_id()).build()
}

impl Shared {
    pub(super) fn begin(self: &Arc<Self>, origin: Origin, kind: Option<Kind>, name: impl FnOnce() -> Text) -> Span {
        let Origin { context, state, wish, shared } = origin;
        let joined = self.joins && self.propagation.is_b3();
        let ids = Ids { context, state, wish, kind, propagation: self.propagation, joined };
        if context.sampled() == Some(true) && self.export.as_ref().is_some_and(|export| export.admit()) {
            self.record(ids, shared, name())
        } else {
            Span(State::Unrecorded(ids))
        }
    }

    #[cold]
    fn record(self: &Arc<Self>, ids: Ids, shared: bool, name: Text) -> Span {
        let record = Record {
            name: name.bounded(),
            start: SystemTime::now(),
            clock: Instant::now(),
            shared,
            remote_service: None,
            remote_address: None,
            annotations: Vec::new(),
            tags: Vec::new(),
            dropped: 0,
        };
        let record = Mutex::new(Some(Box::new(record)));
        Span(State::Recorded(Arc::new(Recorded { ids, tracer: Arc::clone(self), record })))
    }
}

impl Span {
    fn ids(&self) -> &Ids {
        match &self.0 {
            State::Unrecorded(ids) => ids,
            State::Recorded(recorded) => &recorded.ids,
        }
    }

    /// All ids and flags.
    pub fn context(&self) -> &TraceContext {
        &self.ids().context
    }

    /// The id of the trace, as text.
    pub fn trace_id(&self) -> Hex {
        self.context().trace_id().into()
    }

    /// The id of the span, as text.
    pub fn id(&self) -> Hex {
        self.context().span_id().into()
    }

    /// Which side of a call it sees; `None` for work inside the service.
    pub fn kind(&self) -> Option<Kind> {
        self.ids().kind
    }

    /// Whether it is kept when it is over. Ask before you make a text that costs something.
    pub fn is_recorded(&self) -> bool {
        matches!(self.0, State::Recorded(_))
    }

    /// Tells a fact about the span; a later value of a name replaces an earlier one.
    pub fn tag(&self, name: impl Into<Text>, value: impl Into<Text>) {
        self.with(|record, tracer| record.tag(name.into(), value.into(), tracer.max_tags));
    }

    /// As [`Span::tag`] for the kit's own tags, which are few and have a place always.
    pub(crate) fn tag_own(&self, name: &'static str, value: impl Into<Text>) {
        self.with(|record, _| record.tag(name.into(), value.into(), usize::MAX));
    }

    /// Tells that something happens now.
    pub fn annotate(&self, what: impl Into<Text>) {
        self.with(|record, tracer| {
            if record.annotations.len() < tracer.max_annotations {
                record.annotations.push(Annotation { time: SystemTime::now(), value: what.into().bounded() });
            } else {
                record.dropped += 1;
            }
        });
    }

    /// Tells that what the span stands for failed.
    pub fn fail(&self, why: impl Into<Text>) {
        self.tag_own("error", why);
    }

    /// Tells who is at the other end.
    pub fn set_remote(&self, service: Option<Text>, address: Option<SocketAddr>) {
        self.with(|record, _| {
            record.remote_service = service.or(record.remote_service.take()).map(Text::bounded);
            record.remote_address = address.or(record.remote_address);
        });
    }

    /// Opens a span inside this one. Inside a span that is not recorded it costs next to nothing.
    pub fn child(&self, name: impl Into<Text>) -> OpenSpan {
        OpenSpan::new(Some(match &self.0 {
            State::Unrecorded(_) => self.clone(),
            State::Recorded(recorded) => recorded.tracer.begin(Origin::child_of(self), None, || name.into()),
        }))
    }

    /// Writes the trace beside a message that leaves, in the format of the tracer.
    pub fn inject(&self, carrier: &mut impl Carrier) {
        let inner = self.ids();
        let ours = inner.context;
        // A server that joins takes the id for its own span, so one of ours that is no client's must not be sent.
        let leaves = matches!(inner.kind, Some(Kind::Client | Kind::Producer));
        let mut context = if inner.joined && !leaves { child(&ours) } else { ours };
        // What came goes on as it came: we record nothing, and that is no reason for others not to.
        if let (Propagation::W3c, None, Some(wish)) = (inner.propagation, context.sampled(), inner.wish) {
            context = zipkin::trace_context::Builder::from(context).sampled(wish).build();
        }
        inject(carrier, &context, inner.state.as_deref(), inner.propagation);
    }

    fn with(&self, change: impl FnOnce(&mut Record, &Shared)) {
        let State::Recorded(span) = &self.0 else { return };
        if let Some(record) = span.record.lock().unwrap_or_else(PoisonError::into_inner).as_deref_mut() {
            change(record, &span.tracer);
        }
    }

    fn finish(&self) {
        let State::Recorded(span) = &self.0 else { return };
        let Some(mut record) = span.record.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if record.dropped > 0 {
            record.tag("dropped".into(), record.dropped.to_string().into(), usize::MAX);
        }
        let Some(export) = &span.tracer.export else { return };
        span.tracer.counts.recorded.fetch_add(1, Ordering::Relaxed);
        export.export(FinishedSpan {
            context: span.ids.context,
            state: span.ids.state.clone(),
            name: record.name,
            kind: span.ids.kind,
            start: record.start,
            duration: record.clock.elapsed(),
            shared: record.shared,
            local: Arc::clone(&span.tracer.local),
            remote_service: record.remote_service,
            remote_address: record.remote_address,
            annotations: record.annotations,
            tags: record.tags,
        });
    }

    /// Whether both are handles to one span.
    #[cfg(feature = "log")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (State::Recorded(one), State::Recorded(other)) => Arc::ptr_eq(one, other),
            (State::Unrecorded(one), State::Unrecorded(other)) => one.context == other.context,
            _ => false,
        }
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Span").field("trace_id", &self.trace_id()).field("id", &self.id()).finish_non_exhaustive()
    }
}

/// A span that ends when this is dropped. Where no trace is going on it does nothing.
///
/// ```
/// use kit::endpoint::current;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let span = current::child_span("look up the price");
/// span.tag("shop", "7");
/// let price = span.run(async { 12 }).await;
/// # assert_eq!(price, 12);
/// # });
/// ```
#[must_use = "the span ends when this is dropped"]
#[derive(Debug)]
pub struct OpenSpan(Option<Span>);

impl OpenSpan {
    pub(crate) fn new(span: Option<Span>) -> Self {
        Self(span)
    }

    /// The span; `None` where no trace is going on.
    pub fn span(&self) -> Option<&Span> {
        self.0.as_ref()
    }

    /// Says which side of a call it sees: [`Kind::Client`] for a database, [`Kind::Producer`] for a queue. To be said before
    /// the span is handed on.
    pub fn with_kind(mut self, kind: Kind) -> Self {
        // One that is not recorded may be the parent itself, and that stays what it is.
        if let Some(Span(State::Recorded(span))) = &mut self.0
            && let Some(span) = Arc::get_mut(span)
        {
            span.ids.kind = Some(kind);
        }
        self
    }

    /// Says who is at the other end.
    pub fn with_remote(self, service: impl Into<Text>, address: Option<SocketAddr>) -> Self {
        if let Some(span) = &self.0 {
            span.set_remote(Some(service.into()), address);
        }
        self
    }

    /// As [`Span::is_recorded`].
    pub fn is_recorded(&self) -> bool {
        self.0.as_ref().is_some_and(Span::is_recorded)
    }

    /// As [`Span::tag`].
    pub fn tag(&self, name: impl Into<Text>, value: impl Into<Text>) {
        if let Some(span) = &self.0 {
            span.tag(name, value);
        }
    }

    /// As [`Span::annotate`].
    pub fn annotate(&self, what: impl Into<Text>) {
        if let Some(span) = &self.0 {
            span.annotate(what);
        }
    }

    /// As [`Span::fail`].
    pub fn fail(&self, why: impl Into<Text>) {
        if let Some(span) = &self.0 {
            span.fail(why);
        }
    }

    /// As [`Span::child`].
    pub fn child(&self, name: impl Into<Text>) -> Self {
        self.0.as_ref().map_or(Self(None), |span| span.child(name))
    }

    /// As [`Span::inject`]; writes nothing where no trace is going on.
    pub fn inject(&self, carrier: &mut impl Carrier) {
        if let Some(span) = &self.0 {
            span.inject(carrier);
        }
    }

    /// Runs a future inside the span: what it logs has the ids of the span, the spans that it opens by
    /// [`current::child_span`] and the calls that it makes without a context of their own stand inside.
    ///
    /// Dropping the future leaves the span open, until `self` is dropped.
    pub fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        let ids = current::get().unwrap_or_else(|| current::Ids::from(&crate::Context::background()));
        current::scope(ids.with_span(self.0.clone()), future)
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(span) = &self.0 {
            span.finish();
        }
    }
}
