//! The deadline of a call: the caller's, clamped by ours, passed on to every hop.
//!
//! Unlike `tower::timeout`, the limit is a point in time that the whole call shares: what a call spends here is missing for
//! the next hop. A call whose deadline has passed is not started, and a stream is ended in its middle.
//!
//! A call that is too late is `DEADLINE_EXCEEDED`. Whose failure that is depends:
//!
//! | side | whose deadline passed | class |
//! |---|---|---|
//! | server | ours ([`TimeoutConfig`]) | [`Class::Fault`](crate::Class::Fault): the service is too slow |
//! | server | the caller's | [`Class::Cancelled`](crate::Class::Cancelled): any caller can send a deadline that nobody could keep, and must not be able to fill the error log, the error reports or a breaker with it |
//! | client | any | [`Class::Fault`](crate::Class::Fault): the upstream is too slow |
//!
//! On the server that holds too for what the handler returns when an upstream had no time left because the caller gave none.
//!
//! Between two messages of a stream there may be a limit, too ([`TimeoutConfig::idle`]). A request that goes silent ends with
//! `CANCELLED`, an answer with `DEADLINE_EXCEEDED`. An attempt of a call that is repeated has a limit of its own, see
//! [`RetryConfig`](crate::layer::retry::RetryConfig).
//!
//! ```
//! use kit::{Code, Context, Endpoint, Method, MethodInfo, MethodKind, layer::timeout::TimeoutLayer};
//! use std::time::Duration;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let never = Endpoint::from_fn(method, |_, _: String| std::future::pending::<Result<String, kit::Error>>());
//! let never = never.layer(TimeoutLayer::server(Some(Duration::from_secs(2))));
//! let error = never.call_next(&Context::background(), "hello".to_owned()).await.unwrap_err();
//! assert_eq!(error.code(), Code::DeadlineExceeded);
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod layer;
mod limits;
mod service;
mod stream;
#[cfg(test)]
mod tests;

pub use config::TimeoutConfig;
pub(in crate::layer) use config::{read as read_limit, write as write_limit};
pub use layer::TimeoutLayer;
pub use limits::TimeoutLimits;
pub(crate) use service::{Deadline, Side, listening};
pub use service::{ResponseFuture, Timeout};
pub(crate) use stream::StreamLimits;
#[cfg(any(feature = "grpc", feature = "http"))]
pub(crate) use stream::Until;
