use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::Layer as _;

use super::{
    FaultConfig, FaultFigures, FaultLayer, control,
    figures::Figures,
    plan::{Plan, Settings},
};
use crate::{Context, Endpoint, Error, Method, Middleware, Payload, layer::methods, validate::Validate as _};

/// Makes faults: a cheap handle, whose clones are one and the same. See the [module](super).
///
/// Settings that change hold for all methods that it stands around.
#[derive(Clone)]
pub struct Fault(Arc<Shared>);

struct Shared {
    on: AtomicBool,
    settings: ArcSwap<Settings>,
    active: AtomicU32,
    chance: Mutex<fastrand::Rng>,
    methods: Mutex<BTreeMap<String, Arc<Figures>>>,
    /// Held while settings change, so that two changes don't lose one.
    changing: Mutex<()>,
}

impl Fault {
    /// Faults by the settings; none, without any.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &FaultConfig) -> Result<Self, Error> {
        config.check("fault")?;
        let this = Self(Arc::new(Shared {
            on: AtomicBool::new(false),
            settings: ArcSwap::from_pointee(Settings::new(FaultConfig::default())),
            active: AtomicU32::new(0),
            chance: Mutex::new(chance(config)),
            methods: Mutex::default(),
            changing: Mutex::new(()),
        }));
        this.put(config.clone());
        Ok(this)
    }

    /// Changes the settings while it runs. Calls that wait go on waiting. Another seed begins anew.
    ///
    /// # Errors
    /// As [`Fault::new`]; then nothing is changed.
    pub fn reconfigure(&self, config: &FaultConfig) -> Result<(), Error> {
        self.change(|_| Ok(config.clone()))
    }

    pub(super) fn control(&self, change: &Value) -> Result<(), Error> {
        self.change(|config| control::merged(config, change))
    }

    fn change(&self, change: impl FnOnce(&FaultConfig) -> Result<FaultConfig, Error>) -> Result<(), Error> {
        let _one = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.config();
        let config = change(&before)?;
        config.check("fault")?;
        if config.seed != before.seed {
            *self.0.chance.lock().unwrap_or_else(PoisonError::into_inner) = chance(&config);
        }
        self.put(config);
        Ok(())
    }

    fn put(&self, config: FaultConfig) {
        let on = config.is_on();
        if on {
            let settings = json!({ "delay": config.delay, "abort": config.abort, "methods": config.methods });
            tracing::warn!(%settings, headers = config.headers, "faults are injected: calls are late or fail on purpose");
        } else if self.0.on.load(Relaxed) {
            tracing::warn!("faults are injected no longer");
        }
        self.0.settings.store(Arc::new(Settings::new(config)));
        self.0.on.store(on, Relaxed);
    }

    /// The settings that hold now.
    pub fn config(&self) -> FaultConfig {
        self.0.settings.load().config.clone()
    }

    /// Calls that wait now.
    pub fn active(&self) -> u32 {
        self.0.active.load(Relaxed)
    }

    /// What was done to the calls of a method.
    pub fn figures(&self, method: &Method) -> FaultFigures {
        self.cells(method).read()
    }

    pub(super) fn cells(&self, method: &Method) -> Arc<Figures> {
        let mut methods = self.0.methods.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(methods.entry(methods::whole(method).to_owned()).or_default())
    }

    /// A place among those that wait, until it is dropped.
    fn place(&self) -> Option<Place> {
        let most = self.0.settings.load().config.max_active;
        let taken = self.0.active.fetch_update(Relaxed, Relaxed, |active| (active < most).then(|| active + 1));
        taken.ok().map(|_| Place(self.clone()))
    }
}

fn chance(config: &FaultConfig) -> fastrand::Rng {
    config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").field("config", &self.config()).field("active", &self.active()).finish_non_exhaustive()
    }
}

impl Middleware for Fault {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = FaultLayer::new(self, endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Place(Fault);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.active.fetch_sub(1, Relaxed);
    }
}

/// The faults of one method.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(super) fault: Fault,
    method: Method,
    figures: Arc<Figures>,
}

impl Faults {
    pub(super) fn new(fault: &Fault, method: &Method) -> Self {
        Self { fault: fault.clone(), method: method.clone(), figures: fault.cells(method) }
    }

    /// Whether there can be any.
    pub(crate) fn on(&self) -> bool {
        self.fault.0.on.load(Relaxed)
    }

    /// What happens to a call, and its place if it is to wait.
    pub(super) fn plan(&self, cx: &Context) -> Result<(Plan, Option<Place>), Error> {
        let shared = &self.fault.0;
        // For each number alone: it is not held while the settings are read.
        let draw = || shared.chance.lock().unwrap_or_else(PoisonError::into_inner).f64();
        let mut plan = shared.settings.load().plan(&self.method, cx, draw)?;
        let mut place = None;
        if plan.delay.is_some() {
            place = self.fault.place();
            if place.is_none() {
                self.figures.skipped();
                plan = Plan::default();
            } else {
                self.figures.delayed();
            }
        }
        if plan.abort.is_some() {
            self.figures.aborted();
        }
        Ok((plan, place))
    }

    /// Lets a call through as late as it is to be, or fails it.
    pub(crate) async fn pass(&self, cx: &Context) -> Result<(), Error> {
        let (plan, place) = self.plan(cx)?;
        if let Some(delay) = plan.delay {
            sleep(delay).await;
        }
        drop(place);
        plan.abort.map_or(Ok(()), Err)
    }

    pub(super) fn settings(&self) -> Value {
        json!(self.fault.config())
    }

    pub(super) fn state(&self) -> Value {
        let mut state = self.figures.read().to_json();
        state["on"] = self.on().into();
        state["active"] = self.fault.active().into();
        state
    }
}
