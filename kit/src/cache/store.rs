//! The store that the settings name.

use std::time::Duration;

use bytes::Bytes;

#[cfg(feature = "redis")]
use super::Redis;
use super::{Cache, CacheError, Memory};

/// One of the stores, chosen at run time: what [`CacheConfig::open`](super::CacheConfig::open) makes. Clones share it.
///
/// There may be more of them: which there are depends on the features of `kit`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Store {
    /// Keeps nothing: every answer is loaded.
    Off,
    /// In this process.
    Memory(Memory),
    /// In a Redis server, shared by all processes that use it.
    #[cfg(feature = "redis")]
    Redis(Redis),
}

/// The same method of whichever store it is.
macro_rules! each {
    ($store:expr, $off:expr, $name:ident($($argument:expr),*)) => {
        match $store {
            Store::Off => Ok($off),
            Store::Memory(store) => store.$name($($argument),*).await,
            #[cfg(feature = "redis")]
            Store::Redis(store) => store.$name($($argument),*).await,
        }
    };
}

impl Cache for Store {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        each!(self, false, contains(key))
    }

    async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        each!(self, false, delete(key))
    }

    async fn expire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        each!(self, false, expire(key, ttl))
    }

    async fn fetch(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        each!(self, None, fetch(key))
    }

    async fn fetch_many(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, CacheError> {
        each!(self, vec![None; keys.len()], fetch_many(keys))
    }

    async fn flush(&self) -> Result<(), CacheError> {
        each!(self, (), flush())
    }

    async fn save(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        each!(self, (), save(key, value, ttl))
    }

    async fn save_if(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        each!(self, true, save_if(key, expected, value, ttl))
    }
}
