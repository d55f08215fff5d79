//! Makes calls again that failed in a way that passes, and no more of them than the service behind can bear.
//!
//! Unlike `tower::retry` it knows which calls may be made twice, waits as long as the service asks, and pays for each further
//! attempt from a [budget](RetryBudget), so that a service that fails all calls gets a fifth more of them and not three times as
//! many. Unlike [`hedge`](super::hedge) it waits for an attempt to fail before it makes the next.
//!
//! A failed attempt is followed by another one when all of this holds:
//!
//! - The error is one that passes: `UNAVAILABLE`, or a refusal that says when to come again ([`Error::retry_delay`], or
//!   `Retry-After`). Or the attempt took longer than [`attempt_timeout`](RetryConfig::attempt_timeout).
//! - The method may be repeated: its `.proto` file says so by `idempotency_level` or a `GET` rule, or the settings name it. Other
//!   methods are repeated when the call surely never reached the service ([`Error::is_unprocessed`]).
//! - No layer of this client refused it: an open breaker would refuse it again.
//! - There were fewer than [`max_attempts`](RetryConfig::max_attempts).
//! - The service does not ask to stay away (`grpc-retry-pushback-ms`, negative), and the time to wait ends before the deadline.
//! - The request was kept: it is one message, not larger than [`max_replay`](RetryConfig::max_replay). Streams of requests pass
//!   through once. A stream of answers that is there is never asked for again.
//! - The call is not itself part of a repeated one. Attempts carry `grpc-previous-rpc-attempts`, and what a service calls while it
//!   serves one ([`Context::previous_attempts`]) is not repeated: else every hop would multiply the calls of the one before it.
//! - The budget pays.
//!
//! The error of the last attempt is what the caller gets; its log line says how many there were. The layer belongs around a
//! client, inside of the span and the figures of the call and outside of a breaker or a limit, whose refusals it waits for.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use kit::{Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind, Request, layer::retry::{Retry, RetryConfig}};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let info = MethodInfo::new("demo.Demo", "Read", MethodKind::Unary);
//! let method = Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..info });
//! let read = Endpoint::from_fn(method, |_, name: String| async move {
//!     if CALLS.fetch_add(1, Ordering::Relaxed) == 0 { Err(Error::unavailable("busy")) } else { Ok(name) }
//! });
//!
//! // Around all methods of a client it is the same: `client.with(&retry)`.
//! let retry = Retry::new(&RetryConfig::default())?;
//! let read = read.with(&retry);
//! let answer = read.call(Request::new(Context::background(), "book".to_owned())).await?;
//! assert_eq!((answer.message().as_str(), CALLS.load(Ordering::Relaxed)), ("book", 2));
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Error::retry_delay`]: crate::Error::retry_delay
//! [`Error::is_unprocessed`]: crate::Error::is_unprocessed
//! [`Context::previous_attempts`]: crate::Context::previous_attempts

mod budget;
mod config;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod policy;
mod service;
#[cfg(test)]
mod tests;
mod tokens;

pub use budget::{BudgetConfig, RetryBudget};
pub use config::{BackoffConfig, RetryConfig};
pub(in crate::layer) use config::{MAX_REPLAY, may_repeat};
pub use layer::{Retry, RetryLayer};
pub use service::{ResponseFuture, RetriedCall};
