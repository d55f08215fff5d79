use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use zipkin::{Kind, SamplingFlags, TraceContext};

use super::{
    Carrier, Export, OpenSpan, Propagation, Remote, Span, Text, TraceConfig, extract,
    ids::{low_bits, new_span_id, new_trace_id},
    sampler::Sampler,
    span::Origin,
};
use crate::{Context, Peer, trust::Trust};

/// Opens the spans of one service. Cheap to clone; one that is [disabled](Tracer::disabled) costs nothing.
///
/// See the [module](super) for an example.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

/// What all spans of a service share.
pub(super) struct Shared {
    pub(super) local: Arc<zipkin::Endpoint>,
    pub(super) propagation: Propagation,
    pub(super) max_annotations: usize,
    pub(super) max_tags: usize,
    /// `None`: ids travel and nothing is recorded.
    pub(super) export: Option<Box<dyn Export>>,
    pub(super) joins: bool,
    sampler: Sampler,
    trust: Trust,
    // Shared with what shows them, which must not keep the exporter.
    pub(super) counts: Arc<Counts>,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) recorded: AtomicU64,
    malformed: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    fn read(&self) -> TracerFigures {
        TracerFigures {
            recorded: self.recorded.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// What a tracer has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TracerFigures {
    /// Spans that are over and were handed to the exporter.
    pub recorded: u64,
    /// Headers of a trace that made no sense and were passed over, by formats.
    pub malformed: u64,
    /// Wishes that a trace is recorded, of callers that are not trusted.
    pub refused: u64,
}

/// Puts a [`Tracer`] together.
pub struct TracerBuilder {
    config: TraceConfig,
    local: zipkin::endpoint::Builder,
    export: Option<Box<dyn Export>>,
}

impl TracerBuilder {
    /// The address that the service is known by.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        // "All addresses" says where it listens and not where it is.
        if !ip.is_unspecified() {
            self.local.ip(ip);
        }
        if address.port() != 0 {
            self.local.port(address.port());
        }
        self
    }

    /// Where finished spans go to. `None`, as without this call: ids travel and stand on log lines, nothing is recorded.
    #[must_use]
    pub fn export<E: Export>(mut self, export: Option<E>) -> Self {
        self.export = export.map(|export| Box::new(export) as Box<dyn Export>);
        self
    }

    /// The tracer.
    pub fn build(self) -> Tracer {
        let config = self.config;
        Tracer(Some(Arc::new(Shared {
            local: Arc::new(self.local.build()),
            propagation: config.propagation,
            max_annotations: config.max_annotations,
            max_tags: config.max_tags,
            joins: self.export.as_ref().is_some_and(|export| export.joins()),
            export: self.export,
            sampler: Sampler::new(config.sample),
            trust: Trust { networks: config.trusted_networks, certificates: config.trust_certificates },
            counts: Arc::default(),
        })))
    }
}

impl fmt::Debug for TracerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Tracer {
    /// No spans and no ids: headers of a trace are passed on as they came.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// A tracer for the service of this name, which spans are found by.
    pub fn builder(config: &TraceConfig, service: &str) -> TracerBuilder {
        let mut local = zipkin::Endpoint::builder();
        if !service.is_empty() {
            // Zipkin's labels are lower case.
            local.service_name(&service.to_lowercase());
        }
        TracerBuilder { config: config.clone(), local, export: None }
    }

    /// Whether there are ids and spans at all.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// What was counted since the start.
    pub fn figures(&self) -> TracerFigures {
        self.0.as_ref().map_or_else(TracerFigures::default, |shared| shared.counts.read())
    }

    /// Reads the figures without keeping the tracer.
    #[cfg(feature = "metrics")]
    pub(crate) fn reader(&self) -> impl Fn() -> TracerFigures + Clone + Send + Sync + 'static {
        let counts = self.0.as_ref().map(|shared| Arc::clone(&shared.counts));
        move || counts.as_ref().map_or_else(TracerFigures::default, |counts| counts.read())
    }

    /// Begins a trace: for work that no call led to, as a job at night. See [`OpenSpan::run`].
    pub fn start(&self, name: impl Into<Text>) -> OpenSpan {
        OpenSpan::new(self.0.as_ref().map(|shared| shared.begin(shared.root(None), None, || name.into())))
    }

    /// Goes on with a trace that came beside a message of a queue: the span of its consumer. `sender` says who put it there,
    /// as far as that is known; of one that is not known, and of one that is not trusted, no wish to record is obeyed.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use kit::trace::{TraceConfig, Tracer};
    ///
    /// let tracer = Tracer::builder(&TraceConfig::default(), "shop").build();
    /// let mut headers = BTreeMap::new();
    /// let sold = tracer.start("sell").with_kind(kit::trace::Kind::Producer);
    /// sold.inject(&mut headers);
    /// // ... the message travels ...
    /// let bill = tracer.receive(&headers, None, "write the bill");
    /// assert_eq!(bill.span().unwrap().trace_id(), sold.span().unwrap().trace_id());
    /// ```
    pub fn receive(&self, carrier: &impl Carrier, sender: Option<&Peer>, name: impl Into<Text>) -> OpenSpan {
        OpenSpan::new(self.0.as_ref().map(|shared| {
            let origin = shared.received(carrier, sender, Some(Kind::Consumer));
            shared.begin(origin, Some(Kind::Consumer), || name.into())
        }))
    }

    /// The span of a call that is served.
    pub(crate) fn serve(&self, cx: &Context, name: impl FnOnce() -> Text) -> Option<Span> {
        let shared = self.0.as_ref()?;
        let kind = Some(Kind::Server);
        Some(match cx.span() {
            // A call inside the process: nothing was sent, and nobody needs to be trusted.
            Some(caller) => match shared.joins && matches!(caller.kind(), Some(Kind::Client)) {
                true => shared.begin(Origin { shared: true, ..Origin::of(caller) }, kind, name),
                false if caller.is_recorded() => shared.begin(Origin::child_of(caller), kind, name),
                false => caller.clone(),
            },
            None => {
                let nothing_sent = cx.metadata().is_empty();
                let origin =
                    if nothing_sent { shared.root(None) } else { shared.received(cx.metadata(), cx.peer(), kind) };
                shared.begin(origin, kind, name)
            }
        })
    }

    /// The span of a call that is made; `None` when the one that is open will do.
    pub(crate) fn call(&self, cx: &Context, name: impl FnOnce() -> Text) -> Option<Span> {
        let shared = self.0.as_ref()?;
        let origin = match cx.span() {
            Some(parent) if parent.is_recorded() => Origin::child_of(parent),
            Some(_) => return None,
            None => shared.root(None),
        };
        Some(shared.begin(origin, Some(Kind::Client), name))
    }
}

impl Shared {
    /// A trace that begins here.
    fn root(&self, decided: Option<SamplingFlags>) -> Origin {
        let trace_id = new_trace_id();
        let flags = decided.unwrap_or_else(|| self.decide(low_bits(trace_id)));
        let mut builder = TraceContext::builder();
        let context = builder.trace_id(trace_id).span_id(new_span_id()).sampling_flags(flags).build();
        Origin { context, state: None, wish: None, shared: false }
    }

    /// A trace as a caller sent it, or one that begins here.
    fn received(&self, carrier: &impl Carrier, sender: Option<&Peer>, kind: Option<Kind>) -> Origin {
        let extracted = extract(carrier, self.propagation);
        if extracted.malformed > 0 {
            self.counts.malformed.fetch_add(extracted.malformed.into(), Ordering::Relaxed);
        }
        let Some(remote) = extracted.remote else { return self.root(None) };
        let flags = self.obey(&remote, self.trust.trusts(sender));
        let Some(theirs) = remote.context else { return self.root(Some(flags)) };
        let mut builder = zipkin::trace_context::Builder::from(theirs);
        let shared = self.joins && remote.format.is_b3() && matches!(kind, Some(Kind::Server));
        // Where nothing is recorded, a span of ours would be one that nobody ever finds.
        if !shared && self.export.is_some() {
            builder.parent_id(theirs.span_id()).span_id(new_span_id());
        }
        let (state, wish) = (remote.state.map(Into::into), remote.flags.sampled());
        Origin { context: builder.sampling_flags(flags).build(), state, wish, shared }
    }

    /// What holds after a caller's wish.
    fn obey(&self, remote: &Remote, trusted: bool) -> SamplingFlags {
        match remote.flags.sampled() {
            Some(false) => remote.flags,
            Some(true) if trusted => remote.flags,
            wish => {
                if wish.is_some() {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                // Who may not decide must not do it by the choice of an id either.
                let random = remote.context.filter(|_| trusted).map(|context| low_bits(context.trace_id()));
                self.decide(random.unwrap_or_else(|| fastrand::u64(..)))
            }
        }
    }

    fn decide(&self, random: u64) -> SamplingFlags {
        let mut flags = SamplingFlags::builder();
        if self.export.is_some() {
            flags.sampled(self.sampler.sample(random));
        }
        // Otherwise the decision is left to the next service.
        flags.build()
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.0.as_ref().map(|shared| shared.local.service_name());
        f.debug_struct("Tracer").field("service", &service).finish_non_exhaustive()
    }
}
