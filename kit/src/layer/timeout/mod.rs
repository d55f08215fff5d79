//! The deadline of a call: the caller's, clamped by ours, passed on to every hop.
//!
//! Unlike `tower::timeout`, the limit is a point in time that the whole call shares: what a call spends here is missing for
//! the next hop. A call whose deadline has passed is not started, and a stream is ended in its middle.
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

pub use config::TimeoutConfig;
pub(in crate::layer) use config::{read as read_limit, write as write_limit};
pub use layer::TimeoutLayer;
pub use service::{ResponseFuture, Timeout};
