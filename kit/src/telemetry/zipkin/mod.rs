//! Spans for Zipkin: version 2 of its API, JSON to `/api/v2/spans`.
//!
//! ```
//! use kit::telemetry::reporter::{Destination, Reporter, ReporterConfig};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let reporter = Reporter::start(&ReporterConfig::new(Destination::Zipkin, "http://127.0.0.1:9411"))?;
//! # drop(reporter);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashSet;

use zipkin::{Annotation, Endpoint, Span};

use super::reporter::Encode;
use crate::trace::FinishedSpan;

/// The format of Zipkin.
pub(crate) struct Zipkin;

impl Encode for Zipkin {
    const PATH: &'static str = "/api/v2/spans";
    const CONTENT_TYPE: &'static str = "application/json";
    const JOINS: bool = true;

    fn encode(&self, spans: &[FinishedSpan]) -> Vec<u8> {
        let spans: Vec<Span> = spans.iter().map(to_zipkin).collect();
        // All of it is text and numbers: there is nothing that JSON can't hold.
        serde_json::to_vec(&spans).unwrap_or_else(|_| b"[]".to_vec())
    }
}

/// A span in Zipkin's model.
pub fn to_zipkin(span: &FinishedSpan) -> Span {
    let mut zipkin = Span::builder();
    zipkin
        .trace_id(span.context.trace_id())
        .id(span.context.span_id())
        .name(&span.name)
        .timestamp(span.start)
        .duration(span.duration)
        .debug(span.context.debug())
        .shared(span.shared)
        .local_endpoint((*span.local).clone());
    if let Some(parent) = span.context.parent_id() {
        zipkin.parent_id(parent);
    }
    if let Some(kind) = span.kind {
        zipkin.kind(kind);
    }
    if let Some(remote) = remote(span) {
        zipkin.remote_endpoint(remote);
    }
    for (name, value) in &span.tags {
        zipkin.tag(name, value);
    }
    // What happened twice in a microsecond is told once: the API asks for unique items.
    let mut told = HashSet::new();
    for annotation in &span.annotations {
        let micros = annotation.time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros();
        if told.insert((micros, &*annotation.value)) {
            zipkin.annotation(Annotation::new(annotation.time, &annotation.value));
        }
    }
    zipkin.build()
}

fn remote(span: &FinishedSpan) -> Option<Endpoint> {
    let mut remote = Endpoint::builder();
    if let Some(service) = &span.remote_service {
        remote.service_name(&service.to_lowercase());
    }
    if let Some(address) = span.remote_address {
        remote.ip(address.ip().to_canonical());
        if address.port() != 0 {
            remote.port(address.port());
        }
    }
    (span.remote_service.is_some() || span.remote_address.is_some()).then(|| remote.build())
}
