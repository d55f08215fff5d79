//! Where answers are kept, and for how long.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{CacheError, Memory, Store};
use crate::validate::{Validate, Violations};

/// A minute: how long an answer may be old when a change of it was not told.
const TTL: Duration = Duration::from_secs(60);

/// A tenth: entries that were saved together, after a start or an outage, are loaded again one after the other.
const JITTER: f64 = 0.1;

/// The least time to live has to be longer than a load, or nothing would ever be kept.
pub(super) const MOST_JITTER: f64 = 0.9;

/// 64 MiB: tens of thousands of answers of a few hundred bytes, and little in a container of half a gigabyte.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// 1 MiB: Redis serves one command at a time, and a larger value holds up the others.
const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// 250 ms: several hundred times what Redis takes in the same data centre, and what a caller waits for at most once a rest.
const TIMEOUT: Duration = Duration::from_millis(250);

/// One second: a restart of Redis takes about that, and one call a second pays for looking whether it is over.
const REST: Duration = Duration::from_secs(1);

/// Settings of a cache; by convention the section `cache`.
///
/// `Debug` leaves the password out; serializing does not, because what is written has to be readable again (the loaded
/// configuration masks it where it prints).
///
/// ```
/// use kit::{cache::CacheConfig, validate::Validate as _};
///
/// let config = CacheConfig { url: "redis://:pa55@localhost:6379/1".to_owned(), ..CacheConfig::default() };
/// assert!(!format!("{config:?}").contains("pa55"));
/// let error = CacheConfig { url: "disk:".to_owned(), ..config }.check("cache").unwrap_err();
/// assert!(error.message().starts_with("cache.url must be"));
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// The store: `memory:` (this process), `redis://user:password@host:6379/0` (shared; feature `redis`; `unix:///path` for a
    /// socket), or `off`. Reserved characters of a password are percent-encoded. Default `memory:`.
    pub url: String,
    /// What every key in Redis begins with, so that several services may share one. Default `kit:`.
    pub prefix: String,
    /// The longest that an answer is kept. Default 1 min.
    #[serde(with = "crate::duration")]
    pub ttl: Duration,
    /// By which share of it the time to live is shortened at most, at random: from 0 to 0.9. Default 0.1.
    pub jitter: f64,
    /// The most bytes in memory, keys and overhead included. Default 64 MiB. Redis has `maxmemory`.
    pub max_bytes: u64,
    /// The largest answer that is kept, in bytes. Default 1 MiB.
    pub max_value_bytes: usize,
    /// The longest wait for an answer of Redis, with the connecting. Default 250 ms.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
    /// How long Redis is left alone after it could not be reached. Default 1 s.
    #[serde(with = "crate::duration")]
    pub rest: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            url: "memory:".to_owned(),
            prefix: "kit:".to_owned(),
            ttl: TTL,
            jitter: JITTER,
            max_bytes: MAX_BYTES,
            max_value_bytes: MAX_VALUE_BYTES,
            timeout: TIMEOUT,
            rest: REST,
        }
    }
}

impl CacheConfig {
    /// The store. Nothing is connected yet, so a Redis that is away does not keep a service from starting.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn open(&self) -> Result<Store, CacheError> {
        match self.url.as_str() {
            "off" => Ok(Store::Off),
            "memory:" => Ok(Store::Memory(Memory::new(self.max_bytes))),
            _ => self.open_redis().map_err(|why| CacheError::refused(format_args!("the cache's url {why}"))),
        }
    }

    #[cfg(feature = "redis")]
    fn open_redis(&self) -> Result<Store, String> {
        super::Redis::open(self).map(Store::Redis)
    }

    #[cfg(not(feature = "redis"))]
    fn open_redis(&self) -> Result<Store, String> {
        Err(match self.url.starts_with("redis:") {
            true => "names a Redis: build kit with the feature redis".to_owned(),
            false => "must be memory: or off".to_owned(),
        })
    }
}

impl Validate for CacheConfig {
    fn validate(&self, report: &mut Violations) {
        if !matches!(self.url.as_str(), "off" | "memory:") {
            if let Err(why) = self.open_redis() {
                report.add("url", why);
            }
            let why = "is empty, but others may use the same Redis: the default is kit:";
            report.require(!self.prefix.is_empty(), "prefix", why);
        }
        report.require(!self.ttl.is_zero(), "ttl", "is 0, which keeps nothing: say url: off for that");
        if !(0.0..=MOST_JITTER).contains(&self.jitter) {
            report.add("jitter", format!("is {}, must be from 0 to {MOST_JITTER}", self.jitter));
        }
        for (key, zero, default) in [
            ("max_bytes", self.max_bytes == 0, "67108864"),
            ("max_value_bytes", self.max_value_bytes == 0, "1048576"),
            ("timeout", self.timeout.is_zero(), "250ms"),
        ] {
            report.require(!zero, key, format!("is 0, in which nothing can be done: the default is {default}"));
        }
        let why = "is 0: every call would wait for a Redis that is away; the default is 1s";
        report.require(!self.rest.is_zero(), "rest", why);
    }
}

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match self.url.as_str() {
            plain @ ("off" | "memory:") => plain.to_owned(),
            #[cfg(feature = "redis")]
            url => crate::redis::shown(url),
            #[cfg(not(feature = "redis"))]
            _ => "...".to_owned(),
        };
        f.debug_struct("CacheConfig")
            .field("url", &shown)
            .field("prefix", &self.prefix)
            .field("ttl", &self.ttl)
            .field("jitter", &self.jitter)
            .field("max_bytes", &self.max_bytes)
            .field("max_value_bytes", &self.max_value_bytes)
            .field("timeout", &self.timeout)
            .field("rest", &self.rest)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        CacheConfig::default().check("cache").unwrap();
        CacheConfig { url: "off".to_owned(), ..CacheConfig::default() }.check("cache").unwrap();
        for (key, value) in [
            ("url", serde_json::json!("memcached://h")),
            ("ttl", serde_json::json!("0s")),
            ("jitter", serde_json::json!(0.95)),
            ("jitter", serde_json::json!(-0.1)),
            ("max_bytes", serde_json::json!(0)),
            ("max_value_bytes", serde_json::json!(0)),
            ("timeout", serde_json::json!("0s")),
            ("rest", serde_json::json!("0s")),
        ] {
            let config: CacheConfig = serde_json::from_value(serde_json::json!({ key: value })).unwrap();
            let error = config.check("cache").unwrap_err();
            assert!(error.message().starts_with(&format!("cache.{key} ")), "{error}");
        }
        serde_json::from_str::<CacheConfig>(r#"{"tttl":"1s"}"#).unwrap_err();
    }

    #[cfg(feature = "redis")]
    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_password() {
        for (url, says) in [
            ("redis://:secret@", "host"),
            ("rediss://:secret@host", "TLS"),
            ("redis://:secret@host:port", "redis://user"),
            ("redis://:secret@host/books", "redis://"),
            ("http://:secret@host", "memory:"),
            ("secret", "memory:"),
            ("", "memory:"),
        ] {
            let config = CacheConfig { url: url.to_owned(), ..CacheConfig::default() };
            let error = config.check("cache").unwrap_err();
            let message = error.message();
            assert!(message.starts_with("cache.url "), "{message}");
            assert!(message.contains(says) && !message.contains("secret"), "{url}: {message}");
            assert!(!format!("{config:?}").contains("secret"), "{config:?}");
        }
        let config = CacheConfig { url: "redis://a:secret@host:7000/2".to_owned(), ..CacheConfig::default() };
        config.check("cache").unwrap();
        assert!(format!("{config:?}").contains("redis://host:7000/2"), "{config:?}");
        let error = CacheConfig { prefix: String::new(), ..config }.check("cache").unwrap_err();
        assert!(error.message().starts_with("cache.prefix "), "{error}");
    }
}
