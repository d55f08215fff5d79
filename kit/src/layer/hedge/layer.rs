use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::Guard;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::Layer;

use super::{HedgeConfig, HedgedCall, latency::Latencies};
use crate::{
    Endpoint, Error, LayerInfo, Method, Middleware, Payload,
    layer::{
        change::{Live, merged},
        methods::PerMethod,
        retry::{RetryBudget, may_repeat},
    },
};

/// Sends a second request when the first one is slow: the settings and the budget that all methods of a client share. Clones
/// are one.
///
/// It is a [`Middleware`], so that `client.with(&hedge)` puts it around every method.
#[derive(Clone)]
pub struct Hedge {
    pub(super) config: Arc<Live<HedgeConfig>>,
    watched: Arc<PerMethod<Watched>>,
    budget: RetryBudget,
    /// Whether the budget is somebody else's.
    shared: bool,
}

impl Hedge {
    /// Hedges by these settings, with a budget of their own.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &HedgeConfig) -> Result<Self, Error> {
        let live = Arc::new(Live::new("hedge", config)?);
        let budget = RetryBudget::new(&config.budget)?;
        Ok(Self { config: live, watched: Arc::default(), budget, shared: false })
    }

    /// With a budget that others share, mostly that of the retries of the same client, in the place of that of the settings.
    #[must_use]
    pub fn with_budget(mut self, budget: &RetryBudget) -> Self {
        self.budget = budget.clone();
        self.shared = true;
        self
    }

    /// Changes the settings: they hold for the next call. A budget that others share is not changed.
    ///
    /// # Errors
    /// As [`Hedge::new`]; nothing is changed then.
    pub fn reconfigure(&self, config: &HedgeConfig) -> Result<(), Error> {
        self.set(|_| Ok(config.clone()))
    }

    fn set(&self, make: impl FnOnce(&HedgeConfig) -> Result<HedgeConfig, Error>) -> Result<(), Error> {
        self.config.change(make, |_, config| if self.shared { Ok(()) } else { self.budget.reconfigure(&config.budget) })
    }

    /// The settings that hold now.
    pub fn config(&self) -> HedgeConfig {
        HedgeConfig { budget: self.budget.config(), ..self.config.get() }
    }

    /// The budget that pays for further requests.
    pub fn budget(&self) -> &RetryBudget {
        &self.budget
    }

    fn change(&self, changes: &Value) -> Result<(), Error> {
        self.set(|config| {
            let config = HedgeConfig { budget: self.budget.config(), ..config.clone() };
            let new = merged(self.config.section(), &config, changes)?;
            if self.shared && new.budget != config.budget {
                return Err(Error::failed_precondition("the budget is shared: it can't be changed here"));
            }
            Ok(new)
        })
    }

    /// What is known of a method, by all layers of these hedges together.
    pub(super) fn watched(&self, method: &Method) -> Arc<Watched> {
        self.watched.of(method, Watched::new)
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge").field("config", &self.config).field("budget", &self.budget).finish()
    }
}

impl Middleware for Hedge {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = HedgeLayer::new(self, endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

/// Hedging of one method.
#[derive(Clone, Debug)]
pub struct HedgeLayer {
    shared: Option<Arc<Shared>>,
}

/// What all calls of a method share.
#[derive(Debug)]
pub(super) struct Shared {
    hedge: Hedge,
    method: Method,
    pub(super) watched: Arc<Watched>,
}

/// What is known of one method: how long its calls take, and what became of further requests.
#[derive(Debug)]
pub(super) struct Watched {
    latencies: Latencies,
    pub(super) figures: Figures,
}

impl Watched {
    fn new() -> Self {
        Self { latencies: Latencies::new(Instant::now()), figures: Figures::default() }
    }

    /// After what time a request is followed by the next; `None` while that is not known.
    pub(super) fn delay(&self, config: &HedgeConfig) -> Option<Duration> {
        config.delay.or_else(|| Some(self.latencies.quantile()?.max(config.min_delay)))
    }
}

/// What was counted of one method.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Requests beyond the first, by what became of them.
    pub(super) won: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Requests that were not sent because the budget did not pay for them.
    pub(super) exhausted: AtomicU64,
}

impl Shared {
    pub(super) fn config(&self) -> Guard<Arc<HedgeConfig>> {
        self.hedge.config.load()
    }

    pub(super) fn budget(&self) -> &RetryBudget {
        &self.hedge.budget
    }

    pub(super) fn may_repeat(&self, config: &HedgeConfig) -> bool {
        may_repeat(&self.method, &config.methods)
    }

    pub(super) fn record(&self, now: Instant, took: Duration) {
        let config = self.config();
        self.watched.latencies.record(now, took, config.quantile, config.min_samples);
    }

    fn state(&self) -> Value {
        let config = self.config();
        let kind = self.method.kind;
        let streams = kind.client_streams() || kind.server_streams();
        let hedges = match (streams, self.may_repeat(&config)) {
            (true, _) => "never: streams pass through once",
            (false, false) => "never: the method may not be repeated",
            (false, true) => "always",
        };
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        json!({
            "hedges": hedges,
            "delay": self.watched.delay(&config).map(crate::duration::format),
            "samples": self.watched.latencies.samples(),
            "won": read(&self.watched.figures.won),
            "lost": read(&self.watched.figures.lost),
            "failed": read(&self.watched.figures.failed),
            "budget_exhausted": read(&self.watched.figures.exhausted),
            "budget_left": self.budget().left().floor(),
        })
    }
}

impl HedgeLayer {
    /// Hedging of a method.
    pub fn new(hedge: &Hedge, method: &Method) -> Self {
        let shared = Shared { hedge: hedge.clone(), method: method.clone(), watched: hedge.watched(method) };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// Hedges nothing, at no cost: for a chain whose type has the layer whether it is there or not.
    pub fn none() -> Self {
        Self { shared: None }
    }

    /// What the layer tells of itself: settings that can be changed, the delay that holds now, and what became of the further
    /// requests of the method. `None` for one that hedges nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let shared = self.shared.as_ref()?;
        let (settings, state, control) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
        let settings = move || serde_json::to_value(settings.hedge.config()).unwrap_or_default();
        let info = LayerInfo::live("hedge", settings).with_state(move || state.state());
        Some(info.with_control(move |changes| control.hedge.change(changes)))
    }
}

impl<S: Clone> Layer<S> for HedgeLayer {
    type Service = HedgedCall<S>;

    fn layer(&self, inner: S) -> HedgedCall<S> {
        HedgedCall::new(inner, self.shared.clone())
    }
}
