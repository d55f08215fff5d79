//! How many calls in which time, and for whom.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    gcra::Rate,
    key::{RateLimitKey, Selector},
};
use crate::validate::{Validate, Violations};

/// Ten calls in a second, for each method: the figures of the demo. Every service has its own, so these are to be replaced.
const LIMIT: u64 = 10;
const PER: Duration = Duration::from_secs(1);

/// What go-kit's users know from the demo, and what clients look for in logs.
pub(super) const MESSAGE: &str = "rate limit exceeded";

/// 65 536 keys that owe at the same time: 2 MB at most, and more callers than most services have in one period.
const MAX_KEYS: usize = 65_536;

/// Ten million keys are 400 MB: more is a mistake.
const MOST_KEYS: usize = 10_000_000;

/// 50 ms: a hundred times what Redis takes in the same data centre, and what a caller may notice.
const TIMEOUT: Duration = Duration::from_millis(50);

/// One second: a restart of Redis takes about that, and one call a second pays for looking whether it is over.
const REST: Duration = Duration::from_secs(1);

/// A year. A burst that takes longer to be free again is a mistake, and sums of times stay far from their end.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Settings of a rate limit; by convention the section `rate_limit`.
///
/// ```
/// use kit::layer::rate_limit::RateLimitConfig;
///
/// let config: RateLimitConfig = serde_json::from_str(r#"{"limit": 100, "per": "1m", "burst": 20, "key": "peer"}"#)?;
/// assert_eq!(config.limit, 100);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimitConfig {
    /// How many calls are admitted in each `per`, evenly: 10 in a second is one each 100 ms. Default 10.
    pub limit: u64,
    /// The time that `limit` is for. Default 1 s.
    #[serde(with = "crate::duration")]
    pub per: Duration,
    /// How many calls may come at once after a quiet time; at least 1. So in any `per` at most `limit` + `burst` calls are
    /// admitted. Default: as many as `limit`.
    pub burst: Option<u64>,
    /// Which calls count together: `none` (all), `peer`, `header:<name>`. Default `none`.
    pub key: RateLimitKey,
    /// How many keys that owe something are told apart; those beyond share one limit. Default 65 536, at most 10 million.
    pub max_keys: usize,
    /// What a refused caller reads. Default `rate limit exceeded`.
    pub message: String,
    /// Which answers carry `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`. Default `refusals`.
    pub headers: RateLimitHeaders,
    /// A limit that several processes share. Default: none, each process has its own.
    pub shared: Option<SharedConfig>,
}

/// Which answers say how much of the limit is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RateLimitHeaders {
    /// None. A refusal still has `Retry-After`.
    None,
    /// Refusals: the default, because on other answers the headers cost an allocation each.
    #[default]
    Refusals,
    /// All, so that well-behaved callers slow down in time.
    All,
}

/// A limit in Redis, shared by all processes that use the same server and prefix (feature `redis`).
///
/// `Debug` leaves the password out; serializing does not, because what is written has to be readable again.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SharedConfig {
    /// The server: `redis://user:password@host:6379/0`, `unix:///path` for a socket. Has to be given.
    pub url: String,
    /// What every key in Redis begins with. Default `kit:rate_limit:`.
    pub prefix: String,
    /// The longest that a call waits for Redis to decide, with the connecting. Default 50 ms.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
    /// How long Redis is left alone after it could not be reached. Default 1 s.
    #[serde(with = "crate::duration")]
    pub rest: Duration,
    /// What holds while Redis is away. Default `local`.
    pub when_away: WhenAway,
}

/// What holds while the store of a shared limit can't be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenAway {
    /// Each process has a limit of the same numbers for itself, so together they admit at most that many times as much.
    /// The default: it keeps on limiting.
    #[default]
    Local,
    /// All calls are admitted.
    Open,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            per: PER,
            burst: None,
            key: RateLimitKey::None,
            max_keys: MAX_KEYS,
            message: MESSAGE.to_owned(),
            headers: RateLimitHeaders::Refusals,
            shared: None,
        }
    }
}

impl Default for SharedConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            prefix: "kit:rate_limit:".to_owned(),
            timeout: TIMEOUT,
            rest: REST,
            when_away: WhenAway::Local,
        }
    }
}

impl fmt::Debug for SharedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedConfig")
            .field("url", &self.shown())
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("rest", &self.rest)
            .field("when_away", &self.when_away)
            .finish()
    }
}

impl SharedConfig {
    /// The limit in this server, with the defaults for all else.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The URL without user and password.
    pub(super) fn shown(&self) -> String {
        #[cfg(feature = "redis")]
        return crate::redis::shown(&self.url);
        #[cfg(not(feature = "redis"))]
        "...".to_owned()
    }
}

impl RateLimitConfig {
    /// So many calls in each `per`, with the defaults for all else.
    ///
    /// ```
    /// use kit::layer::rate_limit::RateLimitConfig;
    /// use std::time::Duration;
    ///
    /// let config = RateLimitConfig::of(100, Duration::from_secs(60)).with_burst(20);
    /// # let _ = config;
    /// ```
    pub fn of(limit: u64, per: Duration) -> Self {
        Self { limit, per, ..Self::default() }
    }

    /// With so many calls at once.
    #[must_use]
    pub fn with_burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// With a limit for each key.
    #[must_use]
    pub fn with_key(mut self, key: RateLimitKey) -> Self {
        self.key = key;
        self
    }

    /// With room for so many keys.
    #[must_use]
    pub fn with_max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// With another message for refused callers.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// With headers on these answers.
    #[must_use]
    pub fn with_headers(mut self, headers: RateLimitHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Shared between processes.
    #[must_use]
    pub fn with_shared(mut self, shared: SharedConfig) -> Self {
        self.shared = Some(shared);
        self
    }

    /// How many calls may come at once.
    pub fn burst(&self) -> u64 {
        self.burst.unwrap_or(self.limit)
    }

    /// Nanoseconds that pay for one call, rounded up: never more than `limit` in each `per`.
    fn interval(&self) -> u64 {
        let interval = self.per.as_nanos().div_ceil(u128::from(self.limit.max(1)));
        u64::try_from(interval).unwrap_or(u64::MAX).max(1)
    }

    /// The rate of settings that were checked.
    pub(super) fn rate(&self) -> Rate {
        let interval = self.interval();
        Rate { interval, full: interval.saturating_mul(self.burst().max(1)) }
    }
}

impl Validate for SharedConfig {
    fn validate(&self, report: &mut Violations) {
        if let Err(why) = super::shared::check_url(self) {
            report.add("url", why);
        }
        let prefix = "is empty, but others may use the same Redis: the default is kit:rate_limit:";
        report.require(!self.prefix.is_empty(), "prefix", prefix);
        let timeout = "is 0, in which Redis can't answer: the default is 50ms";
        report.require(!self.timeout.is_zero(), "timeout", timeout);
        let rest = "is 0: every call would wait for a Redis that is away; the default is 1s";
        report.require(!self.rest.is_zero(), "rest", rest);
    }
}

/// Refuses settings that can't work.
impl Validate for RateLimitConfig {
    fn validate(&self, report: &mut Violations) {
        let Self { limit, per, burst, .. } = self;
        let (time, nanos) = (crate::duration::format(*per), per.as_nanos());
        report.require(*limit > 0, "limit", "is 0, which admits no call: use at least 1, or leave the layer out");
        report.require(nanos > 0, "per", "is 0, in which no call can come: the default is 1s");
        let none = "is 0, with which no call is ever admitted: use at least 1, or leave it out for as many as limit";
        report.require(*burst != Some(0), "burst", none);
        if *per > LONGEST {
            report.add("per", format!("is {time}: use at most a year"));
        } else if nanos > 0 && u128::from(*limit) > nanos {
            report.add("limit", format!("is {limit} in {time}: more than one in a nanosecond can't be told apart"));
        } else if *limit > 0 && u128::from(self.interval()) * u128::from(self.burst()) > LONGEST.as_nanos() {
            let burst = self.burst();
            let why = "takes more than a year to be free again";
            report.add("burst", format!("is {burst}, which {why} at {limit} in {time}: use less"));
        }
        if let Err(why) = Selector::of(&self.key) {
            report.add("key", why);
        }
        if !(1..=MOST_KEYS).contains(&self.max_keys) {
            report.add("max_keys", format!("is {}, must be from 1 to {MOST_KEYS}", self.max_keys));
        }
        if self.message.is_empty() {
            report.add("message", format!("is empty: the default is {MESSAGE:?}"));
        }
        if let Some(shared) = &self.shared {
            report.section("shared", shared);
            if u128::from(*limit) > per.as_micros() {
                report.add("limit", format!("is {limit} in {time}: in Redis at most one in a microsecond"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_ten_in_a_second() {
        let config: RateLimitConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, RateLimitConfig::default());
        config.check("rate_limit").unwrap();
        assert_eq!(config.rate(), Rate { interval: 100_000_000, full: 1_000_000_000 });
        assert_eq!(serde_json::from_value::<RateLimitConfig>(serde_json::to_value(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn all_of_it_is_read() {
        let json = r#"{"limit": 3, "per": "1s", "burst": 5, "key": "header:x-api-key", "max_keys": 7, "message": "no",
            "headers": "all", "shared": {"url": "redis://localhost", "when_away": "open", "timeout": "10ms"}}"#;
        let config: RateLimitConfig = serde_json::from_str(json).unwrap();
        // Three in a second is one each third of it, rounded up.
        assert_eq!(config.rate(), Rate { interval: 333_333_334, full: 5 * 333_333_334 });
        let shared = config.shared.unwrap();
        assert_eq!((shared.when_away, shared.timeout), (WhenAway::Open, Duration::from_millis(10)));
        let error = serde_json::from_str::<RateLimitConfig>(r#"{"limits": 3}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `limits`"), "{error}");
    }

    #[test]
    fn each_contradiction_is_named() {
        let config = |json: &str| serde_json::from_str::<RateLimitConfig>(json).unwrap();
        for (json, key, why) in [
            (r#"{"limit": 0}"#, "limit", "admits no call"),
            (r#"{"per": "0s"}"#, "per", "is 0"),
            (r#"{"per": "400d"}"#, "per", "at most a year"),
            (r#"{"burst": 0}"#, "burst", "no call is ever admitted"),
            (r#"{"limit": 2, "per": "1ns"}"#, "limit", "is 2 in 1ns"),
            (r#"{"limit": 1, "per": "24h", "burst": 366}"#, "burst", "more than a year"),
            (r#"{"limit": 1, "per": "24h", "burst": 18446744073709551615}"#, "burst", "more than a year"),
            (r#"{"key": "header:"}"#, "key", "names the header \"\""),
            (r#"{"max_keys": 0}"#, "max_keys", "from 1 to 10000000"),
            (r#"{"max_keys": 10000001}"#, "max_keys", "from 1 to 10000000"),
            (r#"{"message": ""}"#, "message", "is empty"),
        ] {
            let error = config(json).check("rate_limit").unwrap_err();
            assert!(error.message().starts_with(&format!("rate_limit.{key} ")), "{json}: {error}");
            assert!(error.message().contains(why), "{json}: {error}");
        }
        let mut report = Violations::default();
        config(r#"{"limit": 0, "per": "0s", "burst": 0, "key": "header: ", "max_keys": 0, "message": ""}"#)
            .validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["limit", "per", "burst", "key", "max_keys", "message"], "all that is wrong is told");
    }

    #[cfg(feature = "redis")]
    #[test]
    fn each_contradiction_of_a_shared_limit_is_named() {
        let at = |change: fn(&mut RateLimitConfig, &mut SharedConfig)| {
            let (mut config, mut shared) = (RateLimitConfig::default(), SharedConfig::at("redis://localhost"));
            change(&mut config, &mut shared);
            config.with_shared(shared).check("rate_limit")
        };
        at(|_, _| {}).unwrap();
        type Change = fn(&mut RateLimitConfig, &mut SharedConfig);
        let wrong: [(Change, &str, &str); 7] = [
            (|_, shared| shared.url.clear(), "shared.url", "must be redis://host:6379"),
            (|_, shared| shared.url = "http://localhost".to_owned(), "shared.url", "must be redis://host:6379"),
            (|_, shared| shared.url = "rediss://localhost".to_owned(), "shared.url", "TLS"),
            (|_, shared| shared.prefix.clear(), "shared.prefix", "is empty"),
            (|_, shared| shared.timeout = Duration::ZERO, "shared.timeout", "is 0"),
            (|_, shared| shared.rest = Duration::ZERO, "shared.rest", "is 0"),
            (|config, _| config.limit = 2_000_000, "limit", "in Redis"),
        ];
        for (change, key, why) in wrong {
            let error = at(change).unwrap_err();
            assert!(error.message().starts_with(&format!("rate_limit.{key} ")), "{key}: {error}");
            assert!(error.message().contains(why), "{key}: {error}");
        }
        let debug = format!("{:?}", SharedConfig::at("redis://:pa55@localhost"));
        assert!(!debug.contains("pa55") && debug.contains("localhost"), "{debug}");
    }
}
