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
//! ```
//! use kit::layer::timeout::TimeoutConfig;
//! use std::time::Duration;
//!
//! let config = TimeoutConfig::default().with_method("Export", Some(Duration::from_secs(300)));
//! # let _ = config;
//! ```

mod config;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use config::TimeoutConfig;
pub use layer::TimeoutLayer;
pub use service::{ResponseFuture, Timeout};
