//! The trace of a call: ids that travel with it through every service, and spans that tell where its time went.
//!
//! A service has one [`Tracer`], made in `main` and passed on. [`layer::trace`](crate::layer::trace) opens a span for every
//! call that is served or made; [`Context::span`](crate::Context::span) is the one that is open, and
//! [`Context::child_span`](crate::Context::child_span) opens one of your own inside it. What is finished goes to an
//! [`Export`]: the reporters in `kit::telemetry` send it to Zipkin or by OTLP, [`Memory`] keeps it for a test.
//!
//! Ids, contexts and kinds are those of the crate [`zipkin`]; its tracer is not used, because that is one for a process, and
//! one process may run several services.
//!
//! ```
//! use kit::trace::{Memory, Sample, TraceConfig, Tracer};
//!
//! let spans = Memory::new();
//! let config = TraceConfig { sample: Sample::Always, ..TraceConfig::default() };
//! let tracer = Tracer::builder(&config, "shop").export(Some(spans.clone())).build();
//!
//! let night = tracer.start("close the books");
//! let step = night.child("count");
//! step.tag("shelf", "7");
//! drop(step);
//! drop(night);
//! let names: Vec<_> = spans.spans().iter().map(|span| span.name.to_string()).collect();
//! assert_eq!(names, ["count", "close the books"]);
//! ```
//!
//! # Trust
//!
//! Ids are taken from everyone, so that a trace is whole. That a trace *is recorded* costs something, so only callers of
//! [`TraceConfig::trusted_networks`] can ask for it; the wish of anyone else that it is not recorded is obeyed. A decision by
//! share is made from the trace id only where the id is trusted too: an id is easily chosen so that it is always taken.

mod config;
mod export;
mod ids;
mod propagation;
mod sampler;
mod span;
#[cfg(test)]
mod tests;
mod text;
mod tracer;

pub use crate::trust::Network;
pub use config::TraceConfig;
pub use export::{Annotation, Export, FinishedSpan, Memory};
pub use ids::Hex;
pub use propagation::{Carrier, Extracted, Propagation, Remote, extract, inject};
pub use sampler::Sample;
pub use span::{OpenSpan, Span};
pub use text::Text;
pub use tracer::{Tracer, TracerBuilder, TracerFigures};
pub use zipkin::{self, Kind, SamplingFlags, SpanId, TraceContext, TraceId};
