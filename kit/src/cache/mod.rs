//! Answers that are kept for a while, in memory or in Redis.
//!
//! | | |
//! |---|---|
//! | [`Cache`] | the small contract: bytes by key, each with a time to live |
//! | [`Memory`], `Redis` | who fulfils it; [`Store`] is the one that [`CacheConfig`] names |
//! | [`Cached`] | answers of one message type on top: who misses loads, once at a time for each key |
//!
//! A service uses [`Cached`] and says when an answer has changed:
//!
//! ```
//! use kit::{Error, cache::{CacheConfig, Cached}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = CacheConfig::default();             // `url: memory:`, or `redis://host:6379` (feature `redis`)
//! // `String` is the message google.protobuf.StringValue; a service caches its own answers.
//! let greetings: Cached<String> = Cached::new("greetings:", config.open()?, &config);
//!
//! let load = || async { Ok::<_, Error>("hello".to_owned()) };
//! assert_eq!(greetings.get_or_load("en", load).await?, "hello");
//! // The second is a hit: its load is not called.
//! greetings.get_or_load("en", || async { Err(Error::internal("not asked")) }).await?;
//! assert_eq!(greetings.figures().hits, 1);
//!
//! // Around a change of what is loaded: whatever happens in between, the old answer is not trusted any more.
//! let change = greetings.change("en");
//! // ... write to the database ...
//! change.done().await;
//! assert_eq!(greetings.get_or_load("en", || async { Ok::<_, Error>("hi".to_owned()) }).await?, "hi");
//! # Ok(()) }
//! ```
//!
//! What is guaranteed, and how, is in `docs/cache.md`. In short: after [`Change::done`] returned, no process that reaches
//! the same store reads an older answer, also when it was being loaded at that time; where the store cannot be reached the
//! bound is the time to live.

mod cached;
mod config;
mod doubts;
mod entry;
mod error;
mod figures;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "redis")]
mod redis;
mod store;
#[cfg(feature = "redis")]
pub mod testing;
#[cfg(test)]
mod tests;

use std::{future::Future, time::Duration};

use bytes::Bytes;

pub use cached::{Cached, Change};
pub use config::CacheConfig;
pub use error::CacheError;
pub use figures::CacheFigures;
pub use memory::Memory;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use store::Store;

/// Bytes by key, each with a time to live.
///
/// A store of your own says how it fetches, saves, deletes and so on; what follows from those is there.
/// [`Cached`] uses [`fetch`](Self::fetch), [`save_if`](Self::save_if) and [`save`](Self::save).
///
/// Every method may be called from many tasks at once. A time to live of more than a year is taken for a year.
///
/// Each method fails with [`CacheError::is_unavailable`] when the store cannot be reached now; what is in memory never fails.
///
/// # Cancel safety
/// Dropping the future of any method leaves a key as it was or as the method leaves it, never half.
pub trait Cache: Send + Sync + 'static {
    /// Whether there is a value. By itself it [fetches](Self::fetch) the value.
    fn contains(&self, key: &str) -> impl Future<Output = Result<bool, CacheError>> + Send {
        async move { Ok(self.fetch(key).await?.is_some()) }
    }

    /// Removes the value; says whether there was one.
    ///
    /// For what a database knows better this is not enough: a load that runs meanwhile may save what was. See
    /// [`Cached::change`].
    fn delete(&self, key: &str) -> impl Future<Output = Result<bool, CacheError>> + Send;

    /// Gives the value another time to live, from now on; says whether there is one.
    fn expire(&self, key: &str, ttl: Duration) -> impl Future<Output = Result<bool, CacheError>> + Send;

    /// The value, if there is one.
    fn fetch(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>, CacheError>> + Send;

    /// The values of all these keys in their order. By itself it [fetches](Self::fetch) one after the other; a store that can
    /// do it by one command does.
    fn fetch_many(&self, keys: &[&str]) -> impl Future<Output = Result<Vec<Option<Bytes>>, CacheError>> + Send {
        async move {
            let mut values = Vec::with_capacity(keys.len());
            for key in keys {
                values.push(self.fetch(key).await?);
            }
            Ok(values)
        }
    }

    /// Removes all values: for operators and tests.
    fn flush(&self) -> impl Future<Output = Result<(), CacheError>> + Send;

    /// Sets the value, whatever was there.
    fn save(&self, key: &str, value: Bytes, ttl: Duration) -> impl Future<Output = Result<(), CacheError>> + Send;

    /// Sets the value if the key holds just what is expected, and says whether it did: `None` expects no value, `Some` one of
    /// these bytes. Nobody comes in between.
    fn save_if(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Duration,
    ) -> impl Future<Output = Result<bool, CacheError>> + Send;
}

/// No answer is worth keeping for longer, and clocks can add it without overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
