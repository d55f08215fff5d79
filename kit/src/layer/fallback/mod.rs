//! Another answer when a call fails: of another endpoint, a value, or what a function makes.
//!
//! | source | it answers with |
//! |---|---|
//! | [`Fallback::to_endpoint`] | what another endpoint of the same messages says: another region, an older version |
//! | [`Fallback::to_value`] | always the same: an empty list |
//! | [`Fallback::to_fn`] | what an async function makes of the context, the request and the error: the last good answer |
//!
//! Unlike a [`retry`](super::retry) it does not ask the same service again. It belongs around the breaker, the retries and the
//! limits of a client, so that it answers when those give up; the answer carries the metadata [`DEGRADED`] with the value
//! `fallback`, so that whoever shows it can say so.
//!
//! Which errors: faults, errors that pass (`UNAVAILABLE`), refusals of our own layers such as an open breaker, and deadlines; never
//! a caller's own mistake. [`FallbackConfig`] names others, [`Fallback::with_rule`] decides all.
//!
//! **Time.** Nothing is answered after the deadline of the call, because nobody listens then. So the call is given up a little
//! before it, [`FallbackConfig::reserve`], and the fallback has what is left.
//!
//! When the fallback fails too the caller gets the first error; its log line has both.
//!
//! Streams pass through, and so does a call whose request is larger than what is kept for a fallback that needs it.
//!
//! ```
//! use kit::{Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request};
//! use kit::layer::fallback::{DEGRADED, Fallback};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let method = Method::from(MethodInfo::new("demo.Demo", "Read", MethodKind::Unary));
//! let read = Endpoint::from_fn(method, |_, _: String| async { Err::<String, _>(Error::unavailable("away")) });
//!
//! let read = Fallback::to_value("nothing yet".to_owned()).around(read);
//! let answer = read.call(Request::new(Context::background(), "book".to_owned())).await?;
//! assert_eq!(answer.message(), "nothing yet");
//! assert_eq!(answer.metadata().get(DEGRADED), Some("fallback"));
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod handle;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod service;
#[cfg(test)]
mod tests;

pub use super::degraded::DEGRADED;
pub use config::FallbackConfig;
pub use handle::Fallback;
pub use layer::FallbackLayer;
pub use service::{FallbackService, ResponseFuture};
