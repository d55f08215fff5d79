//! The handle of a limit.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    hash::RandomState,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::{
    config::{RateLimitConfig, RateLimitHeaders, WhenAway},
    figures::{Figures, RateLimitFigures},
    gcra::{Cell, Rate, Verdict},
    headers::{self, Headers},
    key::{Selector, hash},
    keys::Keys,
    policy::{ANSWERS, PLAIN, Policy},
    shared::Store,
};
use crate::{Context, Error, Method};

/// A limit that all who have the handle share: cheap to clone.
///
/// As a [`Middleware`](crate::Middleware) it is one limit for all endpoints that it is put around;
/// [`RateLimits`](super::RateLimits) is one for each method.
///
/// ```
/// use kit::{Context, layer::rate_limit::{RateLimit, RateLimitConfig}};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let limit = RateLimit::new(&RateLimitConfig::of(2, Duration::from_secs(60)))?;
/// let cx = Context::background();
/// limit.admit(&cx).await?;
/// limit.admit(&cx).await?;
/// assert_eq!(limit.admit(&cx).await.unwrap_err().message(), "rate limit exceeded");
/// assert!(limit.next_free() > Duration::from_secs(29));
/// # Ok::<(), kit::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimit(pub(super) Arc<Inner>);

pub(super) struct Inner {
    start: Instant,
    // The rate is beside the policy, because a plain call needs nothing else. While it is changed a call may see the one number
    // new and the other old: it is decided by a rate between the two.
    interval: AtomicU64,
    full: AtomicU64,
    flags: AtomicU8,
    /// What is owed where there are no keys; with keys, by those for which there is no room.
    cell: Cell,
    /// Random for each limit: callers can't choose keys whose hashes meet.
    hashes: RandomState,
    /// Whose limit it is, in the store of shared ones.
    pub(super) scope: String,
    /// The program's own choice of keys, in the place of the setting.
    custom: Option<Selector>,
    pub(super) policy: ArcSwap<Policy>,
    /// Held while settings are changed.
    changing: Mutex<()>,
    pub(super) figures: Figures,
}

/// What was decided, or who decides it.
pub(crate) enum Admission {
    /// With the headers that the answer carries.
    Admitted(Headers),
    Refused(Error),
    Asking(Deciding),
}

/// The decision of a shared limit.
pub(crate) type Deciding = Pin<Box<dyn Future<Output = Result<Headers, Error>> + Send>>;

impl RateLimit {
    /// A limit of its own: for one method, or for all that are given a clone.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &RateLimitConfig) -> Result<Self, Error> {
        Self::build(config, String::new(), None)
    }

    /// The same for a method: in the store of a shared limit it is told apart from those of other methods.
    ///
    /// # Errors
    /// As [`RateLimit::new`].
    pub fn for_method(config: &RateLimitConfig, method: &Method) -> Result<Self, Error> {
        Self::build(config, scope(method), None)
    }

    /// A limit for each key that `key` finds in the context of a call; calls without one count together. Of keys that are longer
    /// than 1 KiB both ends count, and the length. `name` tells it apart from others in the store of a shared limit.
    ///
    /// ```
    /// use kit::layer::rate_limit::{RateLimit, RateLimitConfig};
    /// use std::borrow::Cow;
    ///
    /// let tenants = RateLimit::by("tenants", &RateLimitConfig::default(), |cx| {
    ///     // `acme` of `acme.example.com`
    ///     cx.metadata().get("x-forwarded-host")?.split('.').next().map(Cow::from)
    /// })?;
    /// # let _ = tenants;
    /// # Ok::<(), kit::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`RateLimit::new`], and when the settings choose a key, too.
    pub fn by(
        name: impl Into<String>,
        config: &RateLimitConfig,
        key: impl for<'a> Fn(&'a Context) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::build(config, name.into(), Some(Selector::custom(key)))
    }

    fn build(config: &RateLimitConfig, scope: String, custom: Option<Selector>) -> Result<Self, Error> {
        let policy = Policy::new(config, custom.as_ref(), None, None)?;
        Ok(Self::of(policy, scope, custom))
    }

    /// One more of a family with the same settings: with its own debts, on the same connection.
    pub(super) fn sibling(&self, method: &Method) -> Self {
        let policy = self.0.policy.load();
        Self::of(policy.copy(), scope(method), self.0.custom.clone())
    }

    fn of(policy: Policy, scope: String, custom: Option<Selector>) -> Self {
        let rate = policy.config.rate();
        Self(Arc::new(Inner {
            start: Instant::now(),
            interval: AtomicU64::new(rate.interval),
            full: AtomicU64::new(rate.full),
            flags: AtomicU8::new(policy.flags()),
            cell: Cell::new(),
            hashes: RandomState::new(),
            scope,
            custom,
            policy: ArcSwap::from_pointee(policy),
            changing: Mutex::new(()),
            figures: Figures::default(),
        }))
    }

    /// Admits a call, or says when to come again: for use without the layer.
    ///
    /// Cancel safe: of a shared limit the call may be counted or not, else it never waits.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` with the reason `RATE_LIMITED` and the time until the next free slot as retry delay.
    pub async fn admit(&self, cx: &Context) -> Result<(), Error> {
        match self.decide(cx, true, Instant::now()) {
            Admission::Admitted(_) => Ok(()),
            Admission::Refused(error) => Err(error),
            Admission::Asking(deciding) => deciding.await.map(drop),
        }
    }

    /// Changes the settings while calls are made. What is owed stays owed, as far as it can be under the new settings; changed
    /// values hold for the next call.
    ///
    /// # Errors
    /// As [`RateLimit::new`]; then nothing has changed.
    pub fn reconfigure(&self, config: &RateLimitConfig) -> Result<(), Error> {
        self.change(|_| Ok(config.clone()), None)
    }

    /// As another one of its family was changed before.
    pub(super) fn follow(&self, leader: &Self) -> Result<(), Error> {
        let leader = leader.0.policy.load_full();
        self.change(|_| Ok(leader.config.clone()), Some(&leader))
    }

    pub(super) fn change(
        &self,
        make: impl FnOnce(&RateLimitConfig) -> Result<RateLimitConfig, Error>,
        beside: Option<&Policy>,
    ) -> Result<(), Error> {
        let inner = &*self.0;
        // Of two changes none may be lost.
        let _one_at_a_time = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, now) = (inner.policy.load_full(), inner.now());
        let config = make(&before.config)?;
        let policy = Policy::new(&config, inner.custom.as_ref(), Some((&before, now)), beside)?;
        let rate = config.rate();
        inner.interval.store(rate.interval, Ordering::Relaxed);
        inner.full.store(rate.full, Ordering::Relaxed);
        policy.keys.clamp(rate, now);
        let flags = policy.flags();
        inner.policy.store(Arc::new(policy));
        inner.flags.store(flags, Ordering::Relaxed);
        inner.cell.clamp(rate, now);
        Ok(())
    }

    /// The settings.
    pub fn config(&self) -> RateLimitConfig {
        self.0.policy.load().config.clone()
    }

    /// How many calls would be admitted now. With keys it is said of those for which there is no room, of a shared limit what
    /// this process knows.
    pub fn remaining(&self) -> u64 {
        let inner = &*self.0;
        let rate = inner.rate();
        rate.remaining(inner.cell.owed(rate, inner.now()))
    }

    /// How long until the next call would be admitted; zero: now. Of whom, see [`RateLimit::remaining`].
    pub fn next_free(&self) -> Duration {
        let inner = &*self.0;
        let rate = inner.rate();
        let debt = inner.cell.owed(rate, inner.now()).saturating_add(rate.interval);
        Duration::from_nanos(debt.saturating_sub(rate.full))
    }

    /// What it has done.
    pub fn figures(&self) -> RateLimitFigures {
        self.0.figures.read(self.0.policy.load().keys.len())
    }

    /// Forgives all debts in this process; those in the store of a shared limit stay.
    pub fn reset(&self) {
        self.0.cell.set(0, self.0.now());
        self.0.policy.load().keys.clear();
    }

    /// Decides about a call. With `headers` as the settings want them, without there are none.
    #[inline]
    pub(crate) fn decide(&self, cx: &Context, headers: bool, now: Instant) -> Admission {
        let inner = &*self.0;
        let flags = inner.flags.load(Ordering::Relaxed);
        if flags & PLAIN == 0 {
            return self.decide_by_policy(cx, headers, inner.at(now));
        }
        let rate = inner.rate();
        let verdict = inner.cell.take(rate, inner.at(now));
        if verdict.wait > 0 {
            return Admission::Refused(inner.refusal(rate, verdict, headers));
        }
        Admission::Admitted((headers && flags & ANSWERS != 0).then(|| Box::new(headers::of(rate, verdict))))
    }

    #[inline(never)]
    fn decide_by_policy(&self, cx: &Context, headers: bool, now: u64) -> Admission {
        let inner = &*self.0;
        let policy = inner.policy.load();
        let (hash, name) = policy.selector.read(cx, |key| {
            let name = policy.store.as_ref().map(|store| store.name(&inner.scope, key));
            (policy.is_keyed().then(|| hash(&inner.hashes, key)), name)
        });
        if let (Some(store), Some(name)) = (&policy.store, name) {
            let (this, store) = (self.clone(), Arc::clone(store));
            return Admission::Asking(Box::pin(async move { this.0.ask(store, name, hash, headers).await }));
        }
        let rate = inner.rate();
        match inner.conclude(rate, inner.take(&policy.keys, hash, rate, now), headers) {
            Ok(headers) => Admission::Admitted(headers),
            Err(error) => Admission::Refused(error),
        }
    }
}

impl Inner {
    #[inline]
    fn rate(&self) -> Rate {
        Rate { interval: self.interval.load(Ordering::Relaxed), full: self.full.load(Ordering::Relaxed) }
    }

    #[inline]
    fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    #[inline]
    fn at(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start);
        elapsed.as_secs().saturating_mul(1_000_000_000).saturating_add(elapsed.subsec_nanos().into())
    }

    /// Decides in this process.
    fn take(&self, keys: &Keys, hash: Option<u64>, rate: Rate, now: u64) -> Verdict {
        match hash.map(|hash| keys.take(hash, rate, now)) {
            Some(Some(verdict)) => verdict,
            Some(None) => {
                self.figures.overflow.count();
                self.cell.take(rate, now)
            }
            None => self.cell.take(rate, now),
        }
    }

    /// Lets the store decide, or does without it.
    async fn ask(&self, store: Arc<Store>, name: String, hash: Option<u64>, headers: bool) -> Result<Headers, Error> {
        let rate = self.rate();
        let verdict = match store.take(name, rate, &self.figures).await {
            Some(verdict) => {
                // So that this process goes on where the store was, should that go away.
                if hash.is_none() {
                    self.cell.set(verdict.debt, self.now());
                }
                verdict
            }
            None => {
                self.figures.shared_fallbacks.count();
                match store.config().when_away {
                    WhenAway::Local => self.take(&self.policy.load().keys, hash, rate, self.now()),
                    WhenAway::Open => return Ok(None),
                }
            }
        };
        self.conclude(rate, verdict, headers)
    }

    fn conclude(&self, rate: Rate, verdict: Verdict, headers: bool) -> Result<Headers, Error> {
        if verdict.wait > 0 {
            return Err(self.refusal(rate, verdict, headers));
        }
        let answers = headers && self.flags.load(Ordering::Relaxed) & ANSWERS != 0;
        Ok(answers.then(|| Box::new(headers::of(rate, verdict))))
    }

    #[cold]
    fn refusal(&self, rate: Rate, verdict: Verdict, headers: bool) -> Error {
        self.figures.rejected.count();
        let policy = self.policy.load();
        let error = Error::resource_exhausted(policy.message.clone())
            .as_rejection()
            .with_retry_delay(Duration::from_nanos(verdict.wait))
            .with_reason("RATE_LIMITED", "kit");
        if headers && policy.config.headers != RateLimitHeaders::None {
            return error.with_metadata(headers::of(rate, verdict));
        }
        error
    }
}

pub(super) fn scope(method: &Method) -> String {
    method.path.trim_start_matches('/').to_owned()
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("config", &self.0.policy.load().config)
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}
