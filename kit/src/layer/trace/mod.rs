//! A span for every call: on the side that serves it and on the side that makes it.
//!
//! It belongs outside of all other layers, so that the span sees what they answer and what they log. The span is over when
//! the answer is, a stream's when the stream ends. One whose caller went away has the tag `cancelled`.
//!
//! | tag | value |
//! |---|---|
//! | `rpc.service`, `rpc.method` | what was called |
//! | `rpc.response.status_code` | the name of the gRPC code: `NOT_FOUND` |
//! | `http.status_code` | of calls served over HTTP: of a stream that fails the error's, unless the answer had begun by then |
//! | `transport` | of calls served: `grpc`, `http` or `local` |
//! | `request.id` | as on the log lines |
//! | `error` | code and message, of failures that are ours or an upstream's: not of mistakes of callers |
//! | `cancelled` | `true`, when the caller went away |
//!
//! ```
//! use kit::{
//!     Context, Endpoint, Method, MethodInfo, MethodKind, Request,
//!     layer::trace::TraceLayer,
//!     trace::{Memory, Sample, TraceConfig, Tracer},
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let spans = Memory::new();
//! let config = TraceConfig { sample: Sample::Always, ..TraceConfig::default() };
//! let tracer = Tracer::builder(&config, "demo").export(Some(spans.clone())).build();
//!
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method.clone(), |cx: Context, text: String| async move {
//!     let _span = cx.child_span("think");
//!     Ok(text)
//! });
//! let say = say.layer(TraceLayer::server(&tracer, &method));
//! say.call(Request::new(Context::background(), "hello".to_owned())).await?;
//! let names: Vec<_> = spans.spans().iter().map(|span| span.name.to_string()).collect();
//! assert_eq!(names, ["think", "demo.Demo/Say"]);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod layer;
mod service;
#[cfg(test)]
#[cfg(any(feature = "grpc", feature = "http"))]
mod tests;

pub use layer::TraceLayer;
pub(crate) use service::{Call, Traced};
pub use service::{ResponseFuture, Trace};
