//! Turns a panic into an answer: `INTERNAL` for the caller, the message with its backtrace for the log, and the process
//! lives.
//!
//! Unlike `tower_http::catch_panic` it stands around one endpoint, so it works for every door, for the messages of a
//! stream too, and it knows where the panic was: a panic hook (installed with the first [`RecoverLayer`], in front of the
//! one that was there) keeps the place and the backtrace of a panic on a thread that polls a recovered call, and leaves all
//! others to the hook that was there. A panic that a handler catches itself is silent for that reason.
//!
//! Only panics that unwind can be recovered: not with `panic = "abort"`, and not in a task that the handler spawned.
//!
//! ```
//! use kit::{Code, Context, Endpoint, Method, MethodInfo, MethodKind, Request, layer::recover::RecoverLayer};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let method = Method::from(MethodInfo::new("demo.Demo", "Divide", MethodKind::Unary));
//! let divide = Endpoint::from_fn(method, |_cx: Context, by: i32| async move { Ok(10 / by) }).layer(RecoverLayer::new());
//! let error = divide.call(Request::new(Context::background(), 0)).await.unwrap_err();
//! assert_eq!(error.code(), Code::Internal);
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod hook;
mod layer;
mod service;

pub(crate) use hook::{catch, catch_in, install};
pub use layer::RecoverLayer;
pub use service::{Recover, ResponseFuture};
