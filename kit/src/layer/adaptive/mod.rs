//! Limits that find themselves: how many calls run at once is learned from how long they take.
//!
//! A fixed [concurrency](crate::layer::concurrency) limit is right until the machine, the database behind it or the mix of calls
//! changes. [`Adaptive`] is the same limit, with the same queue and priorities, moved by an algorithm: while calls take about as
//! long as without load it rises, when they begin to take longer, or fail by overload, it sinks. Behind one trait, [`Limit`],
//! there are [`Gradient2`], [`Vegas`] and [`Aimd`], and any of yours.
//!
//! It learns from calls that were answered, a mistake of the caller among the answers, and from those that failed by overload
//! (`UNAVAILABLE`, `DEADLINE_EXCEEDED`, refusals of a limit further on). Calls that it refused itself, that were given up, or
//! that failed for another reason tell it nothing. Of a stream it looks at the time to the beginning of the answer.
//!
//! [`bbr`] is something else: it refuses nothing until the processors are busy.
//!
//! ```
//! use kit::{
//!     Context, Endpoint, Method, MethodInfo, MethodKind, Request,
//!     layer::adaptive::{Adaptive, AdaptiveConfig},
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let limit = Adaptive::new(&AdaptiveConfig::default())?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) });
//! // Around all methods of a service it is the same: `endpoints.with(&limit)`.
//! let say = say.with(&limit);
//! say.call(Request::new(Context::background(), "hello".to_owned())).await?;
//! assert_eq!(limit.figures().limit, 20);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
pub mod bbr;
mod config;
mod handle;
mod layer;
#[cfg(test)]
mod tests;
mod tuner;

pub use algorithm::{Aimd, Gradient2, Limit, Sample, Vegas};
pub use config::{AdaptiveConfig, Algorithm};
pub use handle::Adaptive;
pub use layer::AdaptiveLayer;
