//! Counts calls: how many by code and transport, how long they took, how many run, how large their messages are.
//!
//! The series of a method are looked up once, when the layer is put around its endpoint; a call then costs two readings of the
//! clock and a handful of atomic additions. A method that does not exist has no endpoint, so nobody can make series by calling
//! it. A stream counts until its end, each of its messages with its size; a call that the caller gives up is `CANCELLED`.
//!
//! ```
//! use kit::{
//!     Context, Endpoint, Method, MethodInfo, MethodKind, Request, layer::metrics::CallMetrics, telemetry::metrics::Metrics,
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let metrics = Metrics::new();
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) });
//! // Without the standard chain, which has the layer by itself when it is `watched_by` figures.
//! let say = say.with(&CallMetrics::server(&metrics));
//! say.call(Request::new(Context::background(), "hello".to_owned())).await?;
//! assert_eq!(metrics.methods()[0].calls, 1);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod layer;
mod service;

pub use layer::{CallMetrics, MetricsLayer};
pub use service::MeteredCall;
pub(crate) use service::{Call, began, counted, ended};
