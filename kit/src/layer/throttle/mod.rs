//! Adaptive throttling by the client: while a service refuses calls, a share of them is not sent at all.
//!
//! A service that is overloaded spends time on refusing, too. So its clients count, over two minutes, what they wanted to call and
//! what was accepted, and refuse the next call themselves with the probability `(requests - k * accepts) / (requests + 1)`, if that is
//! above 0, up to `max_probability`. With `k` of 2 about as many calls are sent in vain as are accepted. (Site Reliability Engineering,
//! chapter 21, "Handling Overload".)
//!
//! Not accepted are calls that the service answers with `RESOURCE_EXHAUSTED` or `UNAVAILABLE`, and those that are refused here. Any
//! other answer, a failure too, is of a service that took the call. Calls that were given up, or that another layer here refused, are
//! not counted. A call counts when it ends, a stream with its last message.
//!
//! Unlike [`breaker`](super::breaker), which stops all calls to a service that fails, this lets through about what an overloaded one
//! can take; both may stand in one chain. A call costs one reading of the clock and three atomic additions.
//!
//! ```
//! use kit::{Context, Endpoint, Error, Method, MethodInfo, MethodKind};
//! use kit::layer::throttle::{Throttle, ThrottleConfig};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let throttle = Throttle::new(&ThrottleConfig::default())?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, _: String| async { Err::<String, _>(Error::resource_exhausted("too much")) });
//! // Around all methods of a client it is one throttle for all of them: `client.with(&throttle)`.
//! let say = say.with(&throttle);
//!
//! for _ in 0..1000 {
//!     say.call_next(&Context::background(), "hello".to_owned()).await.unwrap_err();
//! }
//! let figures = throttle.figures();
//! assert_eq!((figures.requests, figures.accepts, figures.probability), (1000, 0, 0.8));
//! assert!(figures.rejected > 700);
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod handle;
mod history;
#[cfg(test)]
mod history_tests;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod service;
#[cfg(test)]
mod tests;

pub use config::ThrottleConfig;
pub use handle::{Throttle, ThrottleFigures};
pub use layer::ThrottleLayer;
pub use service::{Call, ThrottleService};
