use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    Method,
    cache::CacheConfig,
    duration,
    layer::{
        methods,
        same::{self, MAX_REQUEST, Vary},
    },
    validate::{Validate, Violations},
};

/// Long enough to take the calls of a crowd, and so short that nobody has to be told: what nginx's makers advise as
/// micro-caching is one second, and a reader waits five.
const TTL: Duration = Duration::from_secs(5);

/// Settings of a cache of answers; by convention the section `response_cache`.
///
/// `url`, `prefix`, `jitter`, `max_bytes`, `max_value_bytes`, `timeout` and `rest` are those of [`CacheConfig`]. `Debug` leaves the
/// password of the store out.
///
/// ```
/// use std::time::Duration;
/// use kit::layer::response_cache::ResponseCacheConfig;
///
/// let config: ResponseCacheConfig = serde_json::from_str(r#"{"methods": {"Detail": "30s", "shop.Shop/Price": "0s"}}"#)?;
/// assert_eq!(config.methods["Detail"].0, Duration::from_secs(30));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseCacheConfig {
    /// The store: `memory:`, `redis://user:password@host:6379/0` (feature `redis`), or `off`. Default `memory:`.
    pub url: String,
    /// What every key in Redis begins with. [`ResponseCache::clear`](super::ResponseCache::clear) removes what does: give it to
    /// nothing else. Default `kit:answers:`.
    pub prefix: String,
    /// How long the answer of a method without side effects is fresh; 0 for none but those that `methods` names. Default 5 s.
    #[serde(with = "duration")]
    pub ttl: Duration,
    /// The same of single methods, whether their `.proto` file says that they have no side effects or not; 0 keeps no answer of a
    /// method. By name: `Detail` or `details.BookDetails/Detail`, which holds where both are there.
    pub methods: BTreeMap<String, Ttl>,
    /// How long `NOT_FOUND` is kept: its message and reason, not its details. 0, the default, keeps no error.
    #[serde(with = "duration")]
    pub negative_ttl: Duration,
    /// For how long after that an answer is given when the call that would replace it fails by an outage. 0, the default, for never.
    #[serde(with = "duration")]
    pub stale_if_error: Duration,
    /// Whether calls may go past the cache by the metadata `cache-control` of `no-cache` or `no-store`. Turn it off where callers are
    /// not trusted to spare the service. Default: yes.
    pub obey_callers: bool,
    /// Metadata that equal calls have in common, in lower case: all that a method looks at beside its message, such as `x-tenant`
    /// or `accept-language`. Default: none beside what says who calls.
    pub vary: BTreeSet<String>,
    /// Whether an answer is given to the same caller only: the same `authorization` and `cookie`, and the same certificate. Turn it
    /// off where answers are the same for everybody who may ask at all, and who may not is refused before this layer. Default: yes.
    pub per_caller: bool,
    /// The largest request whose answer is kept. Default: 64 KiB, as for single flight.
    #[serde(with = "crate::size")]
    pub max_request: u64,
    /// By which share the time to live is shortened at most, at random: from 0 to 0.9. Default 0.1.
    pub jitter: f64,
    /// The most bytes in memory, of all methods together. Default 64 MiB.
    pub max_bytes: u64,
    /// The largest answer that is kept, in bytes. Default 1 MiB.
    pub max_value_bytes: usize,
    /// The longest wait for an answer of Redis. Default 250 ms.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How long Redis is left alone after it could not be reached. Default 1 s.
    #[serde(with = "duration")]
    pub rest: Duration,
}

/// A time to live, as it stands in settings: `30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ttl(#[serde(with = "duration")] pub Duration);

impl Default for ResponseCacheConfig {
    fn default() -> Self {
        let store = CacheConfig::default();
        Self {
            url: store.url,
            prefix: "kit:answers:".to_owned(),
            ttl: TTL,
            methods: BTreeMap::new(),
            negative_ttl: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            obey_callers: true,
            vary: BTreeSet::new(),
            per_caller: true,
            max_request: MAX_REQUEST,
            jitter: store.jitter,
            max_bytes: store.max_bytes,
            max_value_bytes: store.max_value_bytes,
            timeout: store.timeout,
            rest: store.rest,
        }
    }
}

impl ResponseCacheConfig {
    /// Keeps the answers of a method for this long.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>, ttl: Duration) -> Self {
        self.methods.insert(method.into(), Ttl(ttl));
        self
    }

    /// How long the answers of a method are fresh; zero where they are not kept.
    pub(super) fn ttl_of(&self, method: &Method) -> Duration {
        match same::names_of(method).iter().find_map(|name| self.methods.get(*name)) {
            Some(ttl) => ttl.0,
            None if same::only_reads(method) => self.ttl,
            None => Duration::ZERO,
        }
    }

    pub(super) fn vary(&self) -> Vary<'_> {
        Vary { names: &self.vary, per_caller: self.per_caller, max_request: self.max_request }
    }

    /// The settings of the store below.
    pub(super) fn store(&self) -> CacheConfig {
        CacheConfig {
            url: self.url.clone(),
            prefix: self.prefix.clone(),
            jitter: self.jitter,
            max_bytes: self.max_bytes,
            max_value_bytes: self.max_value_bytes,
            timeout: self.timeout,
            rest: self.rest,
            // Each answer has its own.
            ..CacheConfig::default()
        }
    }

    /// The store, as it is shown: without a password.
    pub(super) fn shown_url(&self) -> String {
        match self.url.as_str() {
            plain @ ("off" | "memory:") => plain.to_owned(),
            #[cfg(feature = "redis")]
            url => crate::redis::shown(url),
            #[cfg(not(feature = "redis"))]
            _ => "...".to_owned(),
        }
    }
}

impl Validate for ResponseCacheConfig {
    fn validate(&self, report: &mut Violations) {
        self.store().validate(report);
        methods::validate_names(self.methods.keys(), report);
        same::check_vary(&self.vary, report);
        let keeps = !self.ttl.is_zero() || self.methods.values().any(|ttl| !ttl.0.is_zero());
        report.require(keeps, "ttl", "is 0, and methods names none, so that nothing is kept: say url: off for that");
        report.require(
            self.max_request > 0,
            "max_request",
            "is 0, so that no answer would be kept: the default is 64KiB",
        );
    }
}

impl fmt::Debug for ResponseCacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCacheConfig")
            .field("store", &self.store())
            .field("ttl", &self.ttl)
            .field("methods", &self.methods)
            .field("negative_ttl", &self.negative_ttl)
            .field("stale_if_error", &self.stale_if_error)
            .field("obey_callers", &self.obey_callers)
            .field("vary", &self.vary)
            .field("per_caller", &self.per_caller)
            .field("max_request", &self.max_request)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Idempotency, MethodInfo, MethodKind};

    #[test]
    fn all_that_can_not_be_is_named() {
        let config: ResponseCacheConfig = serde_json::from_value(json!({
            "url": "disk:", "ttl": "0s", "methods": {"a b": "0s"}, "vary": ["X-Tenant"], "max_request": "0B", "jitter": 2.0,
            "rest": "0s",
        }))
        .unwrap();
        let mut report = Violations::default();
        config.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key.to_owned()).collect();
        assert_eq!(keys, ["url", "jitter", "rest", "methods", "vary", "ttl", "max_request"]);
        ResponseCacheConfig::default().check("response_cache").unwrap();
        let only_named = ResponseCacheConfig { ttl: Duration::ZERO, ..ResponseCacheConfig::default() };
        only_named.with_method("Detail", Duration::from_secs(1)).check("").unwrap();
        serde_json::from_value::<ResponseCacheConfig>(json!({"ttls": {}})).unwrap_err();
    }

    #[test]
    fn a_method_has_its_own_time_to_live() {
        let second = Duration::from_secs(1);
        let reads = |name: &'static str, idempotency| {
            let info = MethodInfo::new("demo.Demo", name, MethodKind::Unary);
            Method::from(MethodInfo { idempotency, ..info })
        };
        let config = ResponseCacheConfig::default()
            .with_method("Read", second)
            .with_method("demo.Demo/List", second * 2)
            .with_method("List", second * 3)
            .with_method("Write", Duration::ZERO);
        for (name, idempotency, ttl) in [
            ("Read", Idempotency::Unknown, second),
            ("List", Idempotency::NoSideEffects, second * 2),
            ("Write", Idempotency::NoSideEffects, Duration::ZERO),
            ("Other", Idempotency::NoSideEffects, TTL),
            ("Other", Idempotency::Idempotent, Duration::ZERO),
        ] {
            assert_eq!(config.ttl_of(&reads(name, idempotency)), ttl, "{name}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = "redis://:pa55word@localhost:6379/1".to_owned();
        let config = ResponseCacheConfig { url, ..ResponseCacheConfig::default() };
        assert!(!format!("{config:?}{}", config.shown_url()).contains("pa55word"));
    }
}
