//! Equal calls that run at the same time become one: its outcome, answer or error, is that of all.
//!
//! Against many callers who want the same thing at the same moment: a page that everybody opens, an entry that fell out of a cache.
//! Unlike [`response_cache`](super::response_cache) nothing is kept: the call after the last one is made anew.
//!
//! | calls are equal when they have the same | |
//! |---|---|
//! | method | |
//! | message | maps in any order; a larger one than [`max_request`](SingleFlightConfig::max_request) is compared with none |
//! | caller | the metadata `authorization` and `cookie`, and the certificate of the peer, unless [`per_caller`](SingleFlightConfig::per_caller) is off |
//! | metadata of the names in `vary` | name all that the method looks at |
//!
//! Only methods without side effects are joined (`idempotency_level`, or a `GET` rule), and those that the settings name. Streams
//! pass through.
//!
//! **Who goes away takes nothing along.** The call that runs belongs to all who wait for it. When the one who began it is cancelled
//! or its deadline passes, another goes on with it where it is; it is dropped when nobody waits any more. Each waits until its own
//! deadline. The call that runs has the context of the one who began it: its deadline, its request id, its trace. When it ends by
//! that one's deadline or cancellation, that is no answer for the others, and the next begins anew.
//!
//! A call may get an answer that was being made before it was sent. Where a caller must read what it just wrote, it must not wait
//! for a call that began before that: such methods are not for this layer.
//!
//! Metadata that belongs to one call (`set-cookie`, `x-request-id`, headers of traces and rate limits) goes to the one who began it
//! and to nobody else.
//!
//! ```
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//! use kit::{Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind};
//! use kit::layer::single_flight::{SingleFlight, SingleFlightConfig};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let info = MethodInfo::new("demo.Demo", "Read", MethodKind::Unary);
//! let method = Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..info });
//! let read = Endpoint::from_fn(method, |_, name: String| async move {
//!     CALLS.fetch_add(1, Ordering::Relaxed);
//!     tokio::time::sleep(Duration::from_millis(10)).await;
//!     Ok::<_, Error>(name)
//! });
//!
//! // Around all methods of a service it is the same: `endpoints.with(&single_flight)`.
//! let read = read.with(&SingleFlight::new(&SingleFlightConfig::default())?);
//! let cx = Context::background();
//! let calls = (0..100).map(|_| read.call_next(&cx, "book".to_owned()));
//! for answer in futures_util::future::join_all(calls).await {
//!     assert_eq!(answer?, "book");
//! }
//! assert_eq!(CALLS.load(Ordering::Relaxed), 1);
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod flight;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod service;
#[cfg(test)]
mod tests;

pub use config::SingleFlightConfig;
pub use layer::{SingleFlight, SingleFlightLayer};
pub use service::{ResponseFuture, SingleFlightService};
