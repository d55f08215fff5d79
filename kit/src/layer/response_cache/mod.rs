//! Answers that are kept for a while and given to equal calls.
//!
//! The store is that of [`cache`](crate::cache): memory, or a Redis that several processes share. Of calls that miss together one is
//! made. Unlike [`Cached`](crate::cache::Cached), which a service calls where it loads, this stands around methods and knows
//! nothing of what they do: an answer may be as old as its time to live, unless somebody says that it has changed.
//!
//! | what | when |
//! |---|---|
//! | is kept | the answer of a method without side effects (`idempotency_level`, or a `GET` rule), or of one that the settings name; not an error (but see [`negative_ttl`](ResponseCacheConfig::negative_ttl)), not a stream |
//! | is found | by an equal call: method, message, caller (`authorization`, `cookie`, certificate), and the metadata of `vary`. Keys are SHA-256 digests |
//! | is not kept | what the service marks with the metadata `cache-control` of `no-store`, `no-cache` or `private`; what is too large |
//! | is not asked for | by a call with `cache-control: no-cache` (it is made, and its answer kept) or `no-store` (made, and not kept), where callers [may say so](ResponseCacheConfig::obey_callers) |
//! | is given although it is old | for [`stale_if_error`](ResponseCacheConfig::stale_if_error), when the call that would replace it fails by an outage; it carries [`DEGRADED`] with the value `stale-if-error` |
//!
//! Answers from the cache carry `age`, in seconds. Metadata that belongs to one call (`set-cookie`, `x-request-id`, headers of traces
//! and rate limits) is never kept.
//!
//! What stands inside of this layer is not asked on a hit: authorisation belongs outside of it.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use kit::{Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind, Request};
//! use kit::layer::response_cache::{ResponseCache, ResponseCacheConfig};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let info = MethodInfo::new("demo.Demo", "Read", MethodKind::Unary);
//! let method = Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..info });
//! let read = Endpoint::from_fn(method.clone(), |_, name: String| async move {
//!     Ok::<_, Error>(format!("{name} {}", CALLS.fetch_add(1, Ordering::Relaxed)))
//! });
//!
//! // Around all methods of a service it is the same: `endpoints.with(&cache)`.
//! let cache = ResponseCache::new(&ResponseCacheConfig::default())?;
//! let read = read.with(&cache);
//! let (cx, book) = (Context::background(), "book".to_owned());
//! for _ in 0..2 {
//!     assert_eq!(read.call_next(&cx, book.clone()).await?, "book 0");
//! }
//! // After a change of what it is made of:
//! cache.invalidate(&method, &cx, &book).await;
//! assert_eq!(read.call_next(&cx, book).await?, "book 1");
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod control;
mod entry;
mod handle;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod service;
#[cfg(test)]
mod tests;

pub use super::degraded::DEGRADED;
pub use config::{ResponseCacheConfig, Ttl};
pub use handle::ResponseCache;
pub use layer::ResponseCacheLayer;
pub use service::{ResponseCacheService, ResponseFuture};
