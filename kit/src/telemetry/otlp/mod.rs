//! Spans for OpenTelemetry collectors: OTLP over HTTP, protobuf to `/v1/traces`.
//!
//! ```
//! use kit::telemetry::reporter::{Destination, Reporter, ReporterConfig};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let reporter = Reporter::start(&ReporterConfig::new(Destination::Otlp, "http://127.0.0.1:4318"))?;
//! # drop(reporter);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use zipkin::{Kind, TraceId};

use super::reporter::Encode;
use crate::trace::FinishedSpan;

/// The format of OTLP.
pub(crate) struct Otlp;

impl Encode for Otlp {
    const PATH: &'static str = "/v1/traces";
    const CONTENT_TYPE: &'static str = "application/x-protobuf";
    const JOINS: bool = false;

    // The list of OTLP's specification, "Failures": any other status means that the same request would fail again.
    fn is_retryable(status: http::StatusCode) -> bool {
        matches!(status.as_u16(), 429 | 502 | 503 | 504)
    }

    fn encode(&self, spans: &[FinishedSpan]) -> Vec<u8> {
        // One process may run several services, each of which is a resource.
        let mut resources: Vec<(&Arc<zipkin::Endpoint>, Vec<Span>)> = Vec::new();
        for span in spans {
            match resources.iter_mut().find(|(local, _)| Arc::ptr_eq(local, &span.local)) {
                Some((_, spans)) => spans.push(to_otlp(span)),
                None => resources.push((&span.local, vec![to_otlp(span)])),
            }
        }
        let resource_spans = resources.into_iter().map(|(local, spans)| resource(local, spans)).collect();
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    fn refused(&self, answer: &[u8]) -> u64 {
        let partial = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
    }
}

fn resource(local: &zipkin::Endpoint, spans: Vec<Span>) -> ResourceSpans {
    let service = local.service_name().unwrap_or("unknown_service");
    let mut attributes = vec![text("service.name", service)];
    let ip = local.ipv4().map(|ip| ip.to_string()).or_else(|| local.ipv6().map(|ip| ip.to_string()));
    attributes.extend(ip.map(|ip| text("host.ip", &ip)));
    let scope = InstrumentationScope {
        name: "kit".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Default::default()
    };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

fn to_otlp(span: &FinishedSpan) -> Span {
    let kind = match span.kind {
        Some(Kind::Server) => SpanKind::Server,
        Some(Kind::Client) => SpanKind::Client,
        Some(Kind::Producer) => SpanKind::Producer,
        Some(Kind::Consumer) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    };
    let error = span.tag("error");
    let start = nanos(span.start);
    let mut attributes: Vec<KeyValue> = Vec::with_capacity(span.tags.len() + 3);
    for (at, (name, value)) in span.tags.iter().enumerate() {
        // Of two with one name the later holds; attributes must be unique.
        let later = span.tags.iter().skip(at + 1).any(|(other, _)| **other == **name);
        if !later && &**name != "error" {
            attributes.push(text(name, value));
        }
    }
    attributes.extend(span.remote_service.as_ref().map(|service| text("peer.service", service)));
    if let Some(address) = span.remote_address {
        attributes.push(text("network.peer.address", &address.ip().to_canonical().to_string()));
        attributes.push(number("network.peer.port", address.port().into()));
    }
    Span {
        trace_id: trace_id(span.context.trace_id()),
        span_id: span.context.span_id().bytes().to_vec(),
        parent_span_id: span.context.parent_id().map(|id| id.bytes().to_vec()).unwrap_or_default(),
        trace_state: span.state.as_deref().unwrap_or_default().to_owned(),
        name: span.name.to_string(),
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(u64::try_from(span.duration.as_nanos()).unwrap_or(u64::MAX)),
        attributes,
        events: span
            .annotations
            .iter()
            .map(|annotation| Event {
                time_unix_nano: nanos(annotation.time),
                name: annotation.value.to_string(),
                ..Event::default()
            })
            .collect(),
        status: error.map(|message| Status { message: message.to_owned(), code: StatusCode::Error.into() }),
        flags: 1,
        ..Span::default()
    }
}

/// An id of 64 bits stands at the end of one of 128.
fn trace_id(id: TraceId) -> Vec<u8> {
    let mut bytes = vec![0; 16usize.saturating_sub(id.bytes().len())];
    bytes.extend_from_slice(id.bytes());
    bytes
}

fn nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
