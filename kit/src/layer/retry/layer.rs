use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tower::Layer;

use super::{RetriedCall, RetryBudget, RetryConfig};
use crate::{
    Endpoint, Error, LayerInfo, Method, Middleware, Payload,
    layer::{
        change::{Live, merged},
        methods::PerMethod,
    },
};

type Random = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Makes calls again that failed: the settings and the budget that all methods of a client share. Clones are one.
///
/// It is a [`Middleware`], so that `client.with(&retry)` puts it around every method.
#[derive(Clone)]
pub struct Retry {
    config: Arc<Live<RetryConfig>>,
    figures: Arc<PerMethod<Figures>>,
    budget: RetryBudget,
    /// Whether the budget is somebody else's.
    shared: bool,
    random: Random,
}

impl Retry {
    /// Retries by these settings, with a budget of their own.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &RetryConfig) -> Result<Self, Error> {
        let live = Live::new("retry", config)?;
        Ok(Self {
            budget: RetryBudget::new(&config.budget)?,
            config: Arc::new(live),
            figures: Arc::default(),
            shared: false,
            random: Arc::new(fastrand::f64),
        })
    }

    /// With a budget that others share, in the place of that of the settings.
    #[must_use]
    pub fn with_budget(mut self, budget: &RetryBudget) -> Self {
        self.budget = budget.clone();
        self.shared = true;
        self
    }

    /// With another source of chance for the backoff, numbers from 0 to 1: for tests.
    #[must_use]
    pub fn with_random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Changes the settings: they hold from the next attempt on. What the budget has saved up stays; a budget that others share
    /// is not changed.
    ///
    /// # Errors
    /// As [`Retry::new`]; nothing is changed then.
    pub fn reconfigure(&self, config: &RetryConfig) -> Result<(), Error> {
        self.set(|_| Ok(config.clone()))
    }

    fn set(&self, make: impl FnOnce(&RetryConfig) -> Result<RetryConfig, Error>) -> Result<(), Error> {
        self.config.change(make, |_, config| if self.shared { Ok(()) } else { self.budget.reconfigure(&config.budget) })
    }

    /// The settings that hold now.
    pub fn config(&self) -> RetryConfig {
        RetryConfig { budget: self.budget.config(), ..self.config.get() }
    }

    /// The budget that pays for further attempts.
    pub fn budget(&self) -> &RetryBudget {
        &self.budget
    }

    fn change(&self, changes: &Value) -> Result<(), Error> {
        self.set(|config| {
            let config = RetryConfig { budget: self.budget.config(), ..config.clone() };
            let new = merged(self.config.section(), &config, changes)?;
            if self.shared && new.budget != config.budget {
                return Err(Error::failed_precondition("the budget is shared: it can't be changed here"));
            }
            Ok(new)
        })
    }

    /// What is counted of a method, by all layers of these retries together.
    pub(super) fn figures(&self, method: &Method) -> Arc<Figures> {
        self.figures.of(method, Figures::default)
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("config", &self.config).field("budget", &self.budget).finish()
    }
}

impl Middleware for Retry {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = RetryLayer::new(self, endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

/// Retries of one method.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    shared: Option<Arc<Shared>>,
}

/// What all calls of a method share.
#[derive(Debug)]
pub(super) struct Shared {
    retry: Retry,
    pub(super) method: Method,
    pub(super) figures: Arc<Figures>,
}

impl Shared {
    pub(super) fn config(&self) -> arc_swap::Guard<Arc<RetryConfig>> {
        self.retry.config.load()
    }

    pub(super) fn budget(&self) -> &RetryBudget {
        &self.retry.budget
    }

    pub(super) fn random(&self) -> f64 {
        (self.retry.random)()
    }
}

/// What was counted of one method.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Attempts beyond the first, by how they ended.
    pub(super) answered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) cancelled: AtomicU64,
    /// Attempts that were not made because the budget did not pay for them.
    pub(super) exhausted: AtomicU64,
}

impl Figures {
    fn state(&self) -> Value {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        json!({
            "answered": read(&self.answered),
            "failed": read(&self.failed),
            "cancelled": read(&self.cancelled),
            "budget_exhausted": read(&self.exhausted),
        })
    }
}

impl RetryLayer {
    /// Retries of a method.
    pub fn new(retry: &Retry, method: &Method) -> Self {
        let shared = Shared { retry: retry.clone(), method: method.clone(), figures: retry.figures(method) };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// Retries nothing, at no cost: for a chain whose type has the layer whether it is there or not.
    pub fn none() -> Self {
        Self { shared: None }
    }

    /// What the layer tells of itself: settings that can be changed, what the budget has left, and how retries of the method
    /// ended. `None` for one that retries nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let shared = self.shared.as_ref()?;
        let settings = Arc::clone(shared);
        let info = LayerInfo::live("retry", move || serde_json::to_value(settings.retry.config()).unwrap_or_default());
        let state = Arc::clone(shared);
        let info = info.with_state(move || {
            let method = &state.method;
            let repeats = match (method.kind.client_streams(), method.kind.server_streams()) {
                (true, _) => "never: the stream of requests passes through once",
                (false, _) if !state.config().may_repeat(method) => "only what was surely not processed",
                (false, true) => "until the stream of answers is there",
                (false, false) => "always",
            };
            json!({
                "repeats": repeats,
                "retries": state.figures.state(),
                "budget_left": state.budget().left().floor(),
            })
        });
        let control = Arc::clone(shared);
        Some(info.with_control(move |changes| control.retry.change(changes)))
    }
}

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = RetriedCall<S>;

    fn layer(&self, inner: S) -> RetriedCall<S> {
        RetriedCall::new(inner, self.shared.clone())
    }
}
