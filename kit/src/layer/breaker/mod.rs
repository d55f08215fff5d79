//! A circuit breaker: calls to a service that fails are refused for a while, so that it can recover and its callers don't wait.
//!
//! | state | calls | it ends |
//! |---|---|---|
//! | closed | are made, and judged | when too large a share of those in the window failed, or was slow: open |
//! | open | are refused | after `open_for`, with the next call: half open |
//! | half open | a few are made, as probes; the others are refused | when enough probes succeeded: closed; when one failed: open, for longer |
//! | forced open, forced closed | are refused; are made | when somebody releases it: closed |
//!
//! Apart from its state it refuses calls above `max_in_flight`, which does not open it.
//!
//! A call is judged when it ends, a stream with its last message. It is slow when its first answer took too long: how long a stream
//! lasts after that says nothing. What fails is decided by [`Verdict::of`], or by a rule of yours. A call that is dropped gives back
//! its place and its probe and counts neither way, unless its deadline had passed: then it failed. So the layer may stand inside of a
//! timeout or outside. A probe that is a stream counts with its first message. Probes that have not ended after `open_for` are taken
//! for lost, and others are let through.
//!
//! Unlike [`throttle`](super::throttle), which refuses a share of the calls to a service that refuses many, this is all or nothing;
//! and unlike a timeout it spares the service and the caller the next call too.
//!
//! A call that is let through and succeeds costs four atomic additions and no lock; no reading of the clock with a window in calls, one
//! with a window in time, two more with a `slow_ratio`. A bad call takes a lock for a few instructions.
//!
//! ```
//! use kit::{Context, Endpoint, Error, Method, MethodInfo, MethodKind};
//! use kit::layer::breaker::{Breaker, BreakerConfig, BreakerState, BreakerWindow};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let config = BreakerConfig { window: BreakerWindow::Calls(10), min_calls: 4, ..BreakerConfig::default() };
//! let breaker = Breaker::new(&config)?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, _: String| async { Err::<String, _>(Error::unavailable("no")) });
//! // Around all methods of a client it is one breaker for all of them: `client.with(&breaker)`.
//! let say = say.with(&breaker);
//!
//! for _ in 0..4 {
//!     say.call_next(&Context::background(), "hello".to_owned()).await.unwrap_err();
//! }
//! assert_eq!(breaker.state(), BreakerState::Open);
//! let refused = say.call_next(&Context::background(), "hello".to_owned()).await.unwrap_err();
//! assert_eq!(refused.reason().unwrap().reason, "BREAKER_OPEN");
//! assert!(refused.message().contains("4 of the last 4 calls failed"));
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod control;
mod gate;
#[cfg(test)]
mod gate_tests;
mod handle;
mod layer;
mod machine;
#[cfg(feature = "metrics")]
mod metrics;
mod refusal;
mod rule;
mod service;
mod tally;
#[cfg(test)]
mod tally_tests;
#[cfg(test)]
mod tests;
mod window;
#[cfg(test)]
mod window_tests;

pub use config::{BreakerConfig, BreakerWindow};
pub use gate::BreakerState;
pub use handle::{Breaker, BreakerFigures};
pub use layer::BreakerLayer;
pub use rule::Verdict;
pub(in crate::layer) use rule::is_passed_on;
pub use service::{BreakerService, Call};
