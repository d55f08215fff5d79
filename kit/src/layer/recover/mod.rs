//! Turns a panic into an answer: `INTERNAL` for the caller, the message with its backtrace for the log, and the process
//! lives.
//!
//! Unlike `tower_http::catch_panic` it stands around one endpoint, so it works for every door, for the messages of a
//! stream too, and it knows where the panic was: a panic hook (installed with the first [`RecoverLayer`], in front of the
//! one that was there) keeps the place and the backtrace of a panic on a thread that polls a recovered call, and leaves all
//! others to the hook that was there. A panic that a handler catches itself is silent for that reason.
//!
//! Only panics that unwind can be recovered: not with `panic = "abort"`, and not in a task that the handler spawned.

mod hook;
mod layer;
mod service;

pub use layer::RecoverLayer;
pub use service::{Recover, ResponseFuture};
