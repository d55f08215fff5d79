use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;
use tower::Layer as _;

use super::{BbrConfig, BbrLayer, CpuSource, SystemCpu, cpu::CpuLoad, passes::Passes};
use crate::{
    Class, Endpoint, Error, LayerInfo, Method, Middleware, Payload,
    layer::{
        change::merged,
        concurrency::{
            Priority,
            priority::{Classifier, MethodClass},
        },
        track::Outcome,
    },
    validate::Validate as _,
};

/// What the settings are called in a file.
const SECTION: &str = "bbr";

/// Nothing was refused by now.
const NEVER: u64 = u64::MAX;

/// The protection of a system. Clones share it, and so do all services that it stands around: one for all of a process.
///
/// As a [`Middleware`] it is one for all endpoints that it is put around; see the [module](super).
#[derive(Clone, Debug)]
pub struct Bbr(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    start: Instant,
    cpu: CpuLoad,
    limits: Limits,
    passes: Passes,
    /// Held while settings change, so that of two changes none is lost.
    config: Mutex<BbrConfig>,
    classifier: Classifier,
    in_flight: AtomicU64,
    /// When a call was refused while the processors were busy, in nanoseconds since the start.
    dropped_at: AtomicU64,
    dropped: AtomicU64,
}

/// What each call reads of the settings. While they change, a call may see some of them new and some old.
#[derive(Debug, Default)]
struct Limits {
    /// In nanoseconds.
    interval: AtomicU64,
    cool_down: AtomicU64,
    /// Shares, as the bits of an `f64`.
    decay: AtomicU64,
    cpu_threshold: AtomicU64,
}

impl Limits {
    fn set(&self, config: &BbrConfig) {
        self.interval.store(nanoseconds(config.interval), Ordering::Relaxed);
        self.cool_down.store(nanoseconds(config.cool_down), Ordering::Relaxed);
        self.decay.store(config.decay.to_bits(), Ordering::Relaxed);
        self.cpu_threshold.store(config.cpu_threshold.to_bits(), Ordering::Relaxed);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What the protection knows and did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BbrFigures {
    /// How busy the processors were of late, from 0 to 1.
    pub cpu: f64,
    /// Calls that run, streams until their answer begins.
    pub in_flight: u64,
    /// How many calls the service can work on at once; `None` when there were none of late.
    pub capacity: Option<f64>,
    /// Whether calls are refused when more than that run.
    pub protecting: bool,
    /// Calls that were refused.
    pub rejected: u64,
}

impl Bbr {
    /// The protection of this system: see [`SystemCpu`].
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &BbrConfig) -> Result<Self, Error> {
        Self::with_cpu(config, SystemCpu::new())
    }

    /// One that is told otherwise how busy the processors are.
    ///
    /// # Errors
    /// As [`Bbr::new`].
    pub fn with_cpu(config: &BbrConfig, cpu: impl CpuSource) -> Result<Self, Error> {
        config.check(SECTION)?;
        let limits = Limits::default();
        limits.set(config);
        Ok(Self(Arc::new(Shared {
            start: Instant::now(),
            cpu: CpuLoad::new(Box::new(cpu)),
            limits,
            passes: Passes::new(config.window, config.buckets),
            config: Mutex::new(config.clone()),
            classifier: Classifier::new(config.priority.clone()),
            in_flight: AtomicU64::new(0),
            dropped_at: AtomicU64::new(NEVER),
            dropped: AtomicU64::new(0),
        })))
    }

    /// Changes the settings while calls run. What was counted is kept unless the window or its buckets change.
    ///
    /// # Errors
    /// As [`Bbr::new`]; then nothing has changed.
    pub fn reconfigure(&self, config: &BbrConfig) -> Result<(), Error> {
        self.change(|_| Ok(config.clone()))
    }

    fn change(&self, make: impl FnOnce(&BbrConfig) -> Result<BbrConfig, Error>) -> Result<(), Error> {
        let mut now = self.0.config();
        let config = make(&now)?;
        config.check(SECTION)?;
        if now.window != config.window || now.buckets != config.buckets {
            self.0.passes.reshape(config.window, config.buckets);
        }
        self.0.classifier.reconfigure(config.priority.clone());
        self.0.limits.set(&config);
        *now = config;
        Ok(())
    }

    /// The settings that hold now.
    pub fn config(&self) -> BbrConfig {
        self.0.config().clone()
    }

    /// What it knows now, and what it did so far.
    pub fn figures(&self) -> BbrFigures {
        self.0.figures()
    }

    pub(super) fn class(&self, method: Option<&Method>) -> MethodClass {
        self.0.classifier.class(method)
    }

    pub(super) fn info(&self) -> LayerInfo {
        let (settings, state, control) = (self.clone(), self.clone(), self.clone());
        LayerInfo::live("bbr", move || json!(settings.config()))
            .with_state(move || {
                let now = state.figures();
                json!({
                    "cpu": now.cpu,
                    "in_flight": now.in_flight,
                    "capacity": now.capacity,
                    "protecting": now.protecting,
                    "rejected": now.rejected,
                })
            })
            .with_control(move |changes| control.change(|config| merged(SECTION, config, changes)))
    }

    /// Lets a call begin, or refuses it.
    #[inline]
    pub(super) fn enter(&self, class: Priority, now: Instant) -> Result<Running<&Arc<Shared>>, Error> {
        let shared = &self.0;
        let at = shared.nanoseconds(now);
        let limits = &shared.limits;
        let (interval, decay) = (&limits.interval, &limits.decay);
        let cpu =
            shared.cpu.at(at, || (interval.load(Ordering::Relaxed), f64::from_bits(decay.load(Ordering::Relaxed))));
        let busy = cpu >= f64::from_bits(limits.cpu_threshold.load(Ordering::Relaxed));
        if busy || shared.is_cooling(at) {
            shared.protect(class, at, busy)?;
        }
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Running { shared, start: now })
    }
}

impl Shared {
    #[inline]
    fn nanoseconds(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.start))
    }

    fn config(&self) -> MutexGuard<'_, BbrConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn is_cooling(&self, at: u64) -> bool {
        let dropped_at = self.dropped_at.load(Ordering::Relaxed);
        dropped_at != NEVER && at.saturating_sub(dropped_at) < self.limits.cool_down.load(Ordering::Relaxed)
    }

    /// Refuses a call for which there is no room while the processors are busy, or were just now.
    #[cold]
    fn protect(&self, class: Priority, at: u64, busy: bool) -> Result<(), Error> {
        let config = self.config();
        // When nothing at all gets done any more, that is what may run.
        let least = f64::from(config.min_in_flight);
        let capacity = self.passes.capacity(at).unwrap_or(least).max(least);
        let room = match class {
            Priority::Critical => config.critical_headroom,
            Priority::Normal => config.priority.normal_share,
            Priority::Sheddable => config.priority.sheddable_share,
        };
        if (self.in_flight.load(Ordering::Relaxed) as f64) < (capacity * room).round().max(1.0) {
            return Ok(());
        }
        if busy {
            // Only then: refusals of the time after it must not make that longer.
            self.dropped_at.store(at, Ordering::Relaxed);
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        Err(Error::resource_exhausted("the service is overloaded: come again later")
            .with_reason("OVERLOADED", "kit")
            .with_retry_delay(config.retry_after)
            .as_rejection())
    }

    pub(super) fn figures(&self) -> BbrFigures {
        let at = self.nanoseconds(Instant::now());
        let cpu = self.cpu.last();
        BbrFigures {
            cpu,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            capacity: self.passes.capacity(at),
            protecting: cpu >= self.config().cpu_threshold || self.is_cooling(at),
            rejected: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// A call that runs. Counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Running<H: AsRef<Shared> = Arc<Shared>> {
    shared: H,
    start: Instant,
}

impl Running<&Arc<Shared>> {
    /// For a call that outlives the borrowed handle.
    pub(super) fn keep(self) -> Running {
        let kept = Running { shared: Arc::clone(self.shared), start: self.start };
        // It is counted on as the other.
        std::mem::forget(self);
        kept
    }
}

impl<H: AsRef<Shared>> Running<H> {
    /// The call was done, or is a stream whose beginning was: what follows is as long as what was asked for is large, and as a time it
    /// would say nothing.
    #[inline]
    pub(crate) fn passed(self, now: Instant) {
        let shared = self.shared.as_ref();
        shared.passes.record(shared.nanoseconds(now), nanoseconds(now.saturating_duration_since(self.start)));
    }

    /// The call is over.
    #[inline]
    pub(crate) fn ended(self, outcome: Outcome<'_>, now: impl FnOnce() -> Instant) {
        let done = match outcome {
            Outcome::Answered => true,
            Outcome::Failed(error) => error.class() == Class::Caller,
            Outcome::Dropped => false,
        };
        if done {
            self.passed(now());
        }
    }
}

impl<H: AsRef<Shared>> Drop for Running<H> {
    #[inline]
    fn drop(&mut self) {
        self.shared.as_ref().in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Middleware for Bbr {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = BbrLayer::new(self).for_method(endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}
