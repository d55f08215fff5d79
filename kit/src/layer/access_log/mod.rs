//! One log line a call, and the ids of the call on every line that is logged inside it.
//!
//! The line is written when the answer is complete: for a stream when the stream ends, and with `CANCELLED` when the caller
//! went away before. Its level follows [`Error::class`](crate::Error::class): errors of ours are errors, refusals and
//! unreachable upstreams warnings, all else is information. The target is `kit::access`, so that it can be filtered.
//!
//! ```
//! use kit::{Context, Endpoint, Method, MethodInfo, MethodKind, Request, endpoint::current, layer::access_log::AccessLogLayer};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |cx: Context, text: String| async move {
//!     // What is logged here has the ids of the call.
//!     assert_eq!(current::get().map(|ids| ids.request_id), Some(cx.request_id().clone()));
//!     Ok(text)
//! });
//! let say = say.layer(AccessLogLayer::new());
//! say.call(Request::new(Context::background(), "hello".to_owned())).await?;
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod layer;
mod service;

pub use layer::AccessLogLayer;
pub use service::AccessLog;
pub(crate) use service::Call;
