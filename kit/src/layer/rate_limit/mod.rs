//! So many calls in so much time: what is beyond is refused, and told when to come again.
//!
//! The algorithm is GCRA, the generic cell rate algorithm: calls are admitted evenly, one each `per / limit`, and `burst` of them
//! may come at once after a quiet time. So in any window of length `per`, wherever it begins, at most `limit + burst` calls are
//! admitted; there is no turn of the minute at which twice as many get through. The whole state is one atomic number, so that an
//! admitted call costs a reading of the clock and one compare-and-swap.
//!
//! Unlike `tower::limit::RateLimit`, all clones of a service share the limit, and a call beyond it is refused instead of held
//! back: holding back is for a bounded queue. It counts calls, not how many run at once or how long they take.
//!
//! | what counts together | setting |
//! |---|---|
//! | all calls of a method | `key: none` |
//! | those from one address | `key: peer` |
//! | those with the same API key, tenant, user | `key: "header:x-api-key"`, or a function ([`RateLimit::by`]) |
//! | all of these in several processes | `shared: { url: "redis://..." }` (feature `redis`) |
//!
//! Callers can send as many keys as they like: memory stays bounded by `max_keys`, a key that owes something is never forgotten
//! for a new one, and when all who are known owe, the keys beyond share one limit of the same settings until somebody has paid.
//!
//! A refusal is `RESOURCE_EXHAUSTED` (HTTP 429) with the reason `RATE_LIMITED`, the exact time until the next free slot as retry
//! delay (`RetryInfo`; rounded up to seconds in `Retry-After`) and the headers `RateLimit-Limit`, `RateLimit-Remaining` and
//! `RateLimit-Reset`, which are about the burst: how many calls may come at once, how many now, and in how many seconds it is all of
//! them again.
//!
//! ```
//! use kit::{Code, Context, Endpoint, Method, MethodInfo, MethodKind, Request};
//! use kit::layer::rate_limit::{RateLimitConfig, RateLimits};
//! use std::time::Duration;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) });
//! // Around all methods of a service it is the same: `endpoints.with(&limits)`; each gets a limit of its own.
//! let limits = RateLimits::new(&RateLimitConfig::of(60, Duration::from_secs(60)).with_burst(1))?;
//! let say = say.with(&limits);
//!
//! let call = || say.call(Request::new(Context::background(), "hello".to_owned()));
//! call().await?;
//! let error = call().await.unwrap_err();
//! assert_eq!((error.code(), error.message()), (Code::ResourceExhausted, "rate limit exceeded"));
//! assert!(error.retry_delay().unwrap() <= Duration::from_secs(1));
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod control;
mod family;
mod figures;
mod gcra;
mod headers;
mod key;
mod keys;
mod layer;
mod limit;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(test)]
mod model;
mod policy;
mod service;
#[cfg_attr(not(feature = "redis"), path = "unshared.rs")]
mod shared;
#[cfg(test)]
mod tests;

pub use config::{RateLimitConfig, RateLimitHeaders, SharedConfig, WhenAway};
pub use family::RateLimits;
pub use figures::RateLimitFigures;
pub(crate) use headers::Headers;
pub use key::RateLimitKey;
pub use layer::RateLimitLayer;
pub(crate) use limit::Admission;
pub use limit::RateLimit;
pub(crate) use service::with_headers;
pub use service::{RateLimited, ResponseFuture};
