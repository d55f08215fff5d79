use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use serde_json::json;
use tokio::time::Instant;
use tower::Layer as _;

use super::{BbrConfig, BbrLayer, CpuSource, SystemCpu, cpu::CpuLoad, passes::Passes};
use crate::{
    Endpoint, Error, LayerInfo, Method, Middleware, Payload,
    layer::{
        change::merged,
        concurrency::{
            Priority,
            priority::{Classifier, MethodClass},
        },
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
pub(super) struct Shared {
    start: Instant,
    cpu: CpuLoad,
    active: ArcSwap<Active>,
    /// Held while settings change, so that of two changes none is lost.
    changing: Mutex<()>,
    classifier: Classifier,
    in_flight: AtomicU64,
    /// When a call was refused while the processors were busy, in nanoseconds since the start.
    dropped_at: AtomicU64,
    dropped: AtomicU64,
}

/// The settings, and what is counted by them.
#[derive(Debug)]
struct Active {
    config: BbrConfig,
    passes: Arc<Passes>,
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
        let passes = Arc::new(Passes::new(config.window, config.buckets));
        Ok(Self(Arc::new(Shared {
            start: Instant::now(),
            cpu: CpuLoad::new(Box::new(cpu)),
            active: ArcSwap::from_pointee(Active { config: config.clone(), passes }),
            changing: Mutex::new(()),
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
        let _one_at_a_time = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.active.load();
        let config = make(&before.config)?;
        config.check(SECTION)?;
        let same = before.config.window == config.window && before.config.buckets == config.buckets;
        let passes =
            if same { Arc::clone(&before.passes) } else { Arc::new(Passes::new(config.window, config.buckets)) };
        self.0.classifier.reconfigure(config.priority.clone());
        self.0.active.store(Arc::new(Active { config, passes }));
        Ok(())
    }

    /// The settings that hold now.
    pub fn config(&self) -> BbrConfig {
        self.0.active.load().config.clone()
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
    pub(super) fn enter(&self, class: Priority, now: Instant) -> Result<Running, Error> {
        let shared = &self.0;
        let active = shared.active.load();
        let at = shared.nanoseconds(now);
        let config = &active.config;
        let busy = shared.cpu.at(at, config.interval, config.decay) >= config.cpu_threshold;
        if busy || shared.is_cooling(at, config.cool_down) {
            // When nothing at all gets done any more, that is what may run.
            let least = f64::from(config.min_in_flight);
            let capacity = active.passes.capacity(at).unwrap_or(least).max(least);
            let room = match class {
                Priority::Critical => config.critical_headroom,
                Priority::Normal => config.priority.normal_share,
                Priority::Sheddable => config.priority.sheddable_share,
            };
            if shared.in_flight.load(Ordering::Relaxed) as f64 >= (capacity * room).round().max(1.0) {
                if busy {
                    // Only then: refusals of the time after it must not make that longer.
                    shared.dropped_at.store(at, Ordering::Relaxed);
                }
                shared.dropped.fetch_add(1, Ordering::Relaxed);
                return Err(Error::resource_exhausted("the service is overloaded: come again later")
                    .with_reason("OVERLOADED", "kit")
                    .with_retry_delay(config.retry_after)
                    .as_rejection());
            }
        }
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Running { shared: Arc::clone(shared), start: now })
    }
}

impl Shared {
    fn nanoseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_cooling(&self, at: u64, cool_down: Duration) -> bool {
        let dropped_at = self.dropped_at.load(Ordering::Relaxed);
        dropped_at != NEVER && u128::from(at.saturating_sub(dropped_at)) < cool_down.as_nanos()
    }

    pub(super) fn figures(&self) -> BbrFigures {
        let active = self.active.load();
        let at = self.nanoseconds(Instant::now());
        let cpu = self.cpu.last();
        BbrFigures {
            cpu,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            capacity: active.passes.capacity(at),
            protecting: cpu >= active.config.cpu_threshold || self.is_cooling(at, active.config.cool_down),
            rejected: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// A call that runs. Counted until it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    shared: Arc<Shared>,
    start: Instant,
}

impl Running {
    /// The call was done.
    pub(super) fn passed(&self, now: Instant) {
        let took = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        self.shared.active.load().passes.record(self.shared.nanoseconds(now), took);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Middleware for Bbr {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = BbrLayer::new(self).for_method(endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}
