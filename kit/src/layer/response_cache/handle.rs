use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    ResponseCacheConfig, ResponseCacheLayer,
    entry::{Entry, millis},
};
use crate::{
    Context, Endpoint, Error, Method, Middleware, Payload,
    cache::{Cache as _, CacheError, Cached, Store},
    layer::{methods::PerMethod, same::streams},
    validate::Validate as _,
};

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Keeps answers: the store and the settings that all methods of a service share. Clones are one.
///
/// It is a [`Middleware`], so that `endpoints.with(&cache)` puts it around every method.
#[derive(Clone)]
pub struct ResponseCache(Arc<Handle>);

struct Handle {
    config: ResponseCacheConfig,
    store: Store,
    clock: Clock,
    methods: PerMethod<MethodCache>,
}

/// What is kept of one method.
pub(super) struct MethodCache {
    pub(super) method: Method,
    pub(super) entries: Cached<Entry>,
    pub(super) config: ResponseCacheConfig,
    pub(super) ttl: Duration,
    pub(super) figures: Arc<Figures>,
    /// What was made up to then is not believed any more.
    cleared: AtomicU64,
    clock: Clock,
}

/// What was counted of one method.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) hit: AtomicU64,
    pub(super) miss: AtomicU64,
    pub(super) shared: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) bypassed: AtomicU64,
}

impl Figures {
    /// Each with its name.
    pub(super) fn all(&self) -> [(&'static str, &AtomicU64); 5] {
        [
            ("hit", &self.hit),
            ("miss", &self.miss),
            ("shared", &self.shared),
            ("stale", &self.stale),
            ("bypassed", &self.bypassed),
        ]
    }
}

impl ResponseCache {
    /// By these settings. Nothing is connected yet, so a Redis that is away does not keep a service from starting.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &ResponseCacheConfig) -> Result<Self, Error> {
        config.check("")?;
        let store = config.store().open()?;
        Ok(Self(Arc::new(Handle {
            config: config.clone(),
            store,
            clock: Arc::new(SystemTime::now),
            methods: PerMethod::default(),
        })))
    }

    /// With another clock: for tests. To be set before it is put around anything.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let Handle { config, store, .. } = &*self.0;
        Self(Arc::new(Handle {
            config: config.clone(),
            store: store.clone(),
            clock: Arc::new(clock),
            methods: PerMethod::default(),
        }))
    }

    /// The settings.
    pub fn config(&self) -> &ResponseCacheConfig {
        &self.0.config
    }

    /// Says that the answer to a call has changed: to be called after the change, once it holds. No call that begins later gets an
    /// older answer, in any process that reaches the same store; where it can't be reached the bound is the time to live. What is
    /// guaranteed, and how, is in `docs/cache.md`.
    ///
    /// The answer is that of the caller of `cx`, and of the metadata of `vary` that it has; without
    /// [`per_caller`](ResponseCacheConfig::per_caller) it is everybody's.
    pub async fn invalidate<Req: Payload>(&self, method: &Method, cx: &Context, message: &Req) {
        if let Some(key) = self.0.config.vary().key(method, cx, message) {
            self.method(method).entries.change(&digest(&key)).done().await;
        }
    }

    /// Forgets all answers of a method, for calls of this process. In a Redis they stay for other processes, until one of these is
    /// replaced or its time is over.
    pub fn clear_method(&self, method: &Method) {
        self.method(method).clear();
    }

    /// Forgets all answers, in the store too.
    ///
    /// # Errors
    /// When the store can't be reached; calls of this process get no older answer all the same.
    pub async fn clear(&self) -> Result<(), CacheError> {
        for method in self.0.methods.all() {
            method.clear();
        }
        self.0.store.flush().await
    }

    pub(super) fn method(&self, method: &Method) -> Arc<MethodCache> {
        self.0.methods.of(method, || MethodCache::new(&self.0, method))
    }
}

impl MethodCache {
    fn new(handle: &Handle, method: &Method) -> Self {
        let config = &handle.config;
        let ttl = config.ttl_of(method);
        let times = [ttl, config.negative_ttl].into_iter().filter(|time| !time.is_zero());
        let shortest = times.clone().min().unwrap_or_default().mul_f64(1.0 - config.jitter);
        let longest = times.max().unwrap_or_default().saturating_add(config.stale_if_error);
        // By the whole name, so that the entries of two services are not taken for each other.
        let name = format!("{}:", String::from(method));
        Self {
            entries: Cached::within(name, handle.store.clone(), &config.store(), shortest, longest),
            method: method.clone(),
            config: config.clone(),
            ttl,
            figures: Arc::default(),
            cleared: AtomicU64::new(0),
            clock: Arc::clone(&handle.clock),
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        (self.clock)().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
    }

    pub(super) fn keeps(&self) -> bool {
        !self.ttl.is_zero()
    }

    /// By how much the time to live of an entry is shortened.
    pub(super) fn jittered(&self, ttl: Duration) -> Duration {
        ttl.mul_f64(1.0 - self.config.jitter * fastrand::f64())
    }

    /// Whether an entry may be given at all.
    pub(super) fn believes(&self, entry: &Entry) -> bool {
        entry.made > self.cleared.load(Ordering::Acquire)
    }

    /// Whether it may still be given in the place of an error.
    pub(super) fn may_serve_stale(&self, entry: &Entry, now: u64) -> bool {
        let last = Duration::from_millis(entry.fresh).saturating_add(self.config.stale_if_error);
        !entry.is_missing() && !self.config.stale_if_error.is_zero() && entry.age(now) < last
    }

    /// How long an entry stays in the store; `None` for one that is not kept.
    pub(super) fn lifetime(&self, entry: &Entry) -> Option<Duration> {
        let fresh = Duration::from_millis(entry.fresh);
        let stale = if entry.is_missing() { Duration::ZERO } else { self.config.stale_if_error };
        (!entry.passing).then(|| fresh.saturating_add(stale))
    }

    pub(super) fn clear(&self) {
        self.cleared.fetch_max(self.now(), Ordering::AcqRel);
    }

    pub(super) fn settings(&self) -> Value {
        let mut settings = json!(self.config);
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("url".to_owned(), self.config.shown_url().into());
        }
        settings
    }

    pub(super) fn state(&self) -> Value {
        let keeps = match (streams(&self.method), self.keeps()) {
            (true, _) => "never: streams pass through".to_owned(),
            (false, false) => "never: the method may have side effects, or its time to live is 0".to_owned(),
            (false, true) => format!("answers for {}", crate::duration::format(self.ttl)),
        };
        let figures = self.figures.all().into_iter();
        let calls: Value = figures.map(|(name, figure)| (name, figure.load(Ordering::Relaxed))).collect();
        let store = self.entries.figures();
        json!({
            "keeps": keeps,
            "calls": calls,
            "oversized": store.oversized,
            "overtaken": store.overtaken,
            "corrupt": store.corrupt,
            "store_errors": store.errors,
        })
    }
}

/// What an entry is found by. Where tokens are part of a key it must not show them, and nobody may find two calls with one digest.
pub(super) fn digest(key: &[u8]) -> String {
    use fmt::Write as _;

    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(key) {
        // Writing to a text can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Middleware for ResponseCache {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = ResponseCacheLayer::new(self, endpoint.method());
        endpoint.wrap(layer.info(), |inner| tower::Layer::layer(&layer, inner))
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache").field("config", &self.0.config).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_standard() {
        // FIPS 180-4, the example of one block.
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
