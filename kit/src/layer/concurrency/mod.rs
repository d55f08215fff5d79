//! A limit to how many calls run at once: a bulkhead, and, without a queue, load shedding.
//!
//! A rate limit counts how often calls begin; this one counts how many have not ended, a stream until its end. So it holds when
//! calls become slow, which is when a service drowns. An [adaptive](crate::layer::adaptive) limit is this one with a limit that
//! finds itself. `tower::limit::ConcurrencyLimit` makes callers wait without end, and without order by importance.
//!
//! What is too much waits in a bounded queue for a bounded time, never past its own deadline; what is more than that is refused
//! with `RESOURCE_EXHAUSTED`, a retry delay, and the reason `CONCURRENCY_LIMIT` or `QUEUE_TIMEOUT`. Within a class of
//! [`Priority`] the order is that of arrival. Between classes:
//!
//! - A more important call stands before all lesser ones, and takes the place of the newest of the least important when the
//!   queue is full.
//! - Lesser calls begin only while fewer calls than their share of the limit run: sheddable ones three quarters by default.
//! - Health checks of the kit are no calls of endpoints: no limit ever holds them.
//!
//! ```
//! use kit::{
//!     Code, Context, Endpoint, Method, MethodInfo, MethodKind, Request,
//!     layer::concurrency::{Concurrency, ConcurrencyConfig},
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let one = Concurrency::new(&ConcurrencyConfig::shed_above(1))?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move {
//!     tokio::task::yield_now().await;
//!     Ok(text)
//! });
//! // Around all methods of a service it is the same: `endpoints.with(&one)`.
//! let say = say.with(&one);
//! let call = |text: &str| say.call(Request::new(Context::background(), text.to_owned()));
//! let (first, second) = tokio::join!(call("a"), call("b"));
//! assert_eq!(first?.message(), "a");
//! assert_eq!(second.unwrap_err().code(), Code::ResourceExhausted);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod config;
mod gate;
mod handle;
mod layer;
pub(crate) mod limiter;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod priority;
mod queue;
mod refusal;
pub(crate) mod service;
#[cfg(test)]
mod tests;
mod wait;

pub use config::ConcurrencyConfig;
pub use handle::Concurrency;
pub use layer::ConcurrencyLayer;
pub use limiter::ConcurrencyFigures;
pub use priority::{Priority, PriorityConfig};
pub use service::{Limited, ResponseFuture};
