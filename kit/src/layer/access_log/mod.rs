//! One log line a call, and the ids of the call on every line that is logged inside it.
//!
//! The line is written when the answer is complete: for a stream when the stream ends, and with `CANCELLED` when the caller
//! went away before. Its level follows [`Error::class`](crate::Error::class): errors of ours are errors, refusals and
//! unreachable upstreams warnings, all else is information. The target is `kit::access`, so that it can be filtered.

mod layer;
mod service;

pub use layer::AccessLogLayer;
pub use service::{AccessLog, ResponseFuture};
