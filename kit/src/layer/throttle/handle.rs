use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tower::Layer as _;

use super::{
    ThrottleLayer,
    config::ThrottleConfig,
    history::{Counts, History},
};
use crate::{
    Class, Endpoint, Error, Middleware, Payload,
    layer::{breaker::is_passed_on, change::Live, track::Outcome},
};

/// For the next try of a refused call: the least that `Retry-After` can say. Whether it is refused again is left to chance anyway.
const RETRY: Duration = Duration::from_secs(1);

/// A throttle: a cheap handle, whose clones are one and the same.
///
/// As a [`Middleware`] it is one for all endpoints that it is put around, which should be of one service: see the [module](super).
#[derive(Clone)]
pub struct Throttle(Arc<Shared>);

struct Shared {
    history: History,
    /// The bits of the two settings that calls read.
    k: AtomicU64,
    max_probability: AtomicU64,
    rejected: AtomicU64,
    chance: Chance,
    made: Instant,
    config: Live<ThrottleConfig>,
}

/// What a throttle is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ThrottleFigures {
    /// Calls in the window, those that were refused here among them.
    pub requests: u64,
    /// Those of them that the service took.
    pub accepts: u64,
    /// The share of the next calls that is refused here.
    pub probability: f64,
    /// Calls that were refused here since the throttle was made.
    pub rejected: u64,
}

impl Throttle {
    /// A throttle that has seen nothing.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &ThrottleConfig) -> Result<Self, Error> {
        Self::with_seed(config, fastrand::u64(..))
    }

    /// One whose chance is the same each time, for tests.
    ///
    /// # Errors
    /// As [`Throttle::new`].
    pub fn with_seed(config: &ThrottleConfig, seed: u64) -> Result<Self, Error> {
        let live = Live::new("throttle", config)?;
        let (width, buckets) = config.shape();
        Ok(Self(Arc::new(Shared {
            history: History::new(width, buckets),
            k: AtomicU64::new(config.k.to_bits()),
            max_probability: AtomicU64::new(config.max_probability.to_bits()),
            rejected: AtomicU64::new(0),
            chance: Chance { seed, drawn: AtomicU64::new(0) },
            made: Instant::now(),
            config: live,
        })))
    }

    /// Changes the settings while it runs. What it remembers is kept, unless `window` or `buckets` are others.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be; then nothing is changed.
    pub fn reconfigure(&self, config: &ThrottleConfig) -> Result<(), Error> {
        self.change(|_| Ok(config.clone()))
    }

    pub(super) fn change(
        &self,
        change: impl FnOnce(&ThrottleConfig) -> Result<ThrottleConfig, Error>,
    ) -> Result<(), Error> {
        let shared = &*self.0;
        shared.config.change(change, |_, config| {
            let (width, buckets) = config.shape();
            shared.history.reshape(width, buckets);
            shared.k.store(config.k.to_bits(), Relaxed);
            shared.max_probability.store(config.max_probability.to_bits(), Relaxed);
            Ok(())
        })
    }

    /// The settings that hold now.
    pub fn config(&self) -> ThrottleConfig {
        self.0.config.get()
    }

    /// What it is doing.
    pub fn figures(&self) -> ThrottleFigures {
        let counts = self.counts();
        ThrottleFigures {
            requests: counts.requests,
            accepts: counts.requests.saturating_sub(counts.refused),
            probability: self.probability(counts),
            rejected: self.0.rejected.load(Relaxed),
        }
    }

    /// Lets a call through, or refuses it.
    #[inline]
    pub(super) fn admit(&self) -> Result<(), Error> {
        let counts = self.counts();
        if counts.refused == 0 {
            return Ok(());
        }
        let probability = self.probability(counts);
        if probability <= 0.0 || self.0.chance.draw() >= probability {
            return Ok(());
        }
        // What is refused here is a request that nobody accepted, too: so the share grows while the service takes nothing.
        self.0.history.count(true);
        self.0.rejected.fetch_add(1, Relaxed);
        Err(refusal(probability))
    }

    /// A call that was let through is over.
    #[inline]
    pub(super) fn count(&self, outcome: Outcome<'_>) {
        let refused = match outcome {
            Outcome::Answered => false,
            // It does not say what the service would have done.
            Outcome::Dropped => return,
            Outcome::Failed(error) if error.is_refusal() || is_passed_on(error) => return,
            Outcome::Failed(error) => match error.class() {
                Class::Cancelled => return,
                Class::Rejected | Class::Transient => true,
                Class::Caller | Class::Fault => false,
            },
        };
        self.0.history.count(refused);
    }

    #[inline]
    fn counts(&self) -> Counts {
        let now = u64::try_from(self.0.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.history.counts(now)
    }

    fn probability(&self, counts: Counts) -> f64 {
        let (requests, accepts) = (counts.requests as f64, counts.requests.saturating_sub(counts.refused) as f64);
        let (k, most) = (&self.0.k, &self.0.max_probability);
        let (k, most) = (f64::from_bits(k.load(Relaxed)), f64::from_bits(most.load(Relaxed)));
        ((requests - k * accepts) / (requests + 1.0)).clamp(0.0, most)
    }

    #[cfg(feature = "metrics")]
    pub(super) fn weak(&self) -> WeakThrottle {
        WeakThrottle(Arc::downgrade(&self.0))
    }
}

#[cold]
fn refusal(probability: f64) -> Error {
    let share = probability * 100.0;
    let message = format!("the service refuses calls, so {share:.0} % are not sent to it: try again in 1s");
    Error::unavailable(message).as_rejection().with_retry_delay(RETRY).with_reason("THROTTLED", "kit")
}

/// For those who look on, and must not keep it alive.
#[cfg(feature = "metrics")]
#[derive(Clone)]
pub(super) struct WeakThrottle(std::sync::Weak<Shared>);

#[cfg(feature = "metrics")]
impl WeakThrottle {
    pub(super) fn figures(&self) -> Option<ThrottleFigures> {
        self.0.upgrade().map(|shared| Throttle(shared).figures())
    }
}

impl Middleware for Throttle {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = ThrottleLayer::new(self);
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

/// Numbers that look like chance, from a counter: no lock, and the same for the same seed.
struct Chance {
    seed: u64,
    drawn: AtomicU64,
}

impl Chance {
    /// From 0 on, below 1.
    fn draw(&self) -> f64 {
        // The steps and the mixing of SplitMix64 (Steele, Lea and Flood, 2014).
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let at = self.drawn.fetch_add(1, Relaxed).wrapping_add(1);
        let mut mixed = self.seed.wrapping_add(at.wrapping_mul(STEP));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // As many bits as the fraction of a number has.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_even_and_comes_back() {
        let draw = |seed| {
            let chance = Chance { seed, drawn: AtomicU64::new(0) };
            (0..10_000).map(|_| chance.draw()).collect::<Vec<_>>()
        };
        let (one, other) = (draw(1), draw(2));
        assert_eq!(one, draw(1));
        assert_ne!(one, other);
        assert!(one.iter().all(|drawn| (0.0..1.0).contains(drawn)));
        for tenth in 1..10 {
            let below = one.iter().filter(|drawn| **drawn < f64::from(tenth) / 10.0).count();
            assert!(below.abs_diff(tenth as usize * 1_000) < 200, "{below} of 10000 are below {tenth} tenths");
        }
    }
}
