//! Sends a second request when the first one is slower than most, and takes the answer that comes first.
//!
//! Unlike [`retry`](super::retry) it does not wait for a failure: it is against the slow tail, where one replica of many is busy
//! or stuck. The price is a few more requests, about one in twenty at the 95th percentile, paid from the same kind of
//! [budget](super::retry::RetryBudget), and shared with the retries when both are handed the same.
//!
//! - Methods without streams that may be called twice: their `.proto` file says so by `idempotency_level` or a `GET` rule, or the
//!   settings name them. Everything else passes through.
//! - The second request follows after a quantile of how long calls took in the last half to full minute, or a fixed
//!   [`delay`](HedgeConfig::delay). While there were too few calls nothing is hedged.
//! - The first answer wins, and the other request is dropped, which cancels it. A mistake of the caller (`NOT_FOUND`, ...) is an
//!   answer. After any other error no further request is sent, and those that are out are waited for: the last error counts.
//! - What is a repeated attempt already ([`Context::previous_attempts`](crate::Context::previous_attempts)) is not hedged, and a
//!   second request says that it is one. With retries the hedge belongs inside of them: then only the first attempt is hedged.
//!
//! The calls of a method that is hedged are timed from the first request to the answer, whichever gave it: a slow call stays a slow
//! one, else hedging would shorten its own delay.
//!
//! ```
//! use std::time::Duration;
//! use kit::{Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind, Request, layer::hedge::{Hedge, HedgeConfig}};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! let info = MethodInfo::new("demo.Demo", "Read", MethodKind::Unary);
//! let method = Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..info });
//! let read = Endpoint::from_fn(method, |cx: Context, name: String| async move {
//!     // The replica that has the first request is stuck.
//!     if cx.previous_attempts() == 0 {
//!         std::future::pending::<()>().await;
//!     }
//!     Ok(name)
//! });
//!
//! let hedge = Hedge::new(&HedgeConfig { delay: Some(Duration::from_millis(20)), ..HedgeConfig::default() })?;
//! let read = read.with(&hedge);
//! let answer = read.call(Request::new(Context::background(), "book".to_owned())).await?;
//! assert_eq!(answer.message(), "book");
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod latency;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod service;
#[cfg(test)]
mod tests;

pub use config::HedgeConfig;
pub use layer::{Hedge, HedgeLayer};
pub use service::{HedgedCall, ResponseFuture};
