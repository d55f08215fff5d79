//! The names of the headers of a trace, in all formats: `trace` reads and writes them, and a service without a tracer passes them
//! on as they came.

pub(crate) const B3: &str = "b3";
pub(crate) const B3_TRACE_ID: &str = "x-b3-traceid";
pub(crate) const B3_SPAN_ID: &str = "x-b3-spanid";
pub(crate) const B3_PARENT_ID: &str = "x-b3-parentspanid";
pub(crate) const B3_SAMPLED: &str = "x-b3-sampled";
pub(crate) const B3_FLAGS: &str = "x-b3-flags";
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

pub(crate) const ALL: [&str; 8] =
    [B3, B3_TRACE_ID, B3_SPAN_ID, B3_PARENT_ID, B3_SAMPLED, B3_FLAGS, TRACEPARENT, TRACESTATE];

/// Whether a name, in lower case, is one of them.
pub(crate) fn is_one(name: &str) -> bool {
    ALL.contains(&name)
}
