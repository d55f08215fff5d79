use std::{fmt, sync::Arc};

use serde_json::{Value, json};
use tower::Layer as _;

use super::{AdaptiveConfig, AdaptiveLayer, algorithm::Limit, tuner::Tuner};
use crate::{
    Endpoint, Error, LayerInfo, Middleware, Payload,
    layer::{
        change::{Live, merged},
        concurrency::{ConcurrencyFigures, limiter::Limiter},
    },
    validate::Validate as _,
};

/// What the settings are called in a file.
const SECTION: &str = "adaptive";

/// A concurrency limit that finds itself. Clones share it, and so do all services that it stands around: what it learns is
/// about what they have in common. Methods that take very different times want one each.
///
/// As a [`Middleware`] it is one limit for all endpoints that it is put around; see the [module](super).
#[derive(Clone)]
pub struct Adaptive {
    pub(super) limiter: Limiter,
    pub(super) tuner: Arc<Tuner>,
    config: Arc<Live<AdaptiveConfig>>,
    /// Whether the algorithm is one of ours, which settings can change.
    built: bool,
}

impl Adaptive {
    /// A limit that has learned nothing yet.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &AdaptiveConfig) -> Result<Self, Error> {
        // Checked before the algorithm is made of it.
        config.check(SECTION)?;
        Self::start(config, config.build(config.initial.into()), true)
    }

    /// A limit that moves by an algorithm of your own; the settings of the others mean nothing.
    ///
    /// # Errors
    /// As [`Adaptive::new`].
    pub fn with_algorithm(config: &AdaptiveConfig, algorithm: impl Limit) -> Result<Self, Error> {
        Self::start(config, Box::new(algorithm), false)
    }

    fn start(config: &AdaptiveConfig, limit: Box<dyn Limit>, built: bool) -> Result<Self, Error> {
        let live = Arc::new(Live::new(SECTION, config)?);
        let limiter = Limiter::new(config.initial, config.admission());
        let tuner = Arc::new(Tuner::new(&limiter, config, limit));
        Ok(Self { limiter, tuner, config: live, built })
    }

    /// Changes the settings while calls run. The limit goes on from where it is, between the new bounds; what was learned is
    /// kept unless the algorithm or one of its settings changes.
    ///
    /// # Errors
    /// As [`Adaptive::new`]; then nothing has changed.
    pub fn reconfigure(&self, config: &AdaptiveConfig) -> Result<(), Error> {
        self.change(|_| Ok(config.clone()))
    }

    fn change(&self, make: impl FnOnce(&AdaptiveConfig) -> Result<AdaptiveConfig, Error>) -> Result<(), Error> {
        self.config.change(make, |before, config| {
            let same = config.algorithm == before.algorithm
                && config.tolerance == before.tolerance
                && config.smoothing == before.smoothing
                && config.long_window == before.long_window
                && config.backoff == before.backoff
                && config.slow == before.slow;
            self.tuner.reconfigure(config, self.built && !same);
            Ok(())
        })
    }

    /// The settings that hold now.
    pub fn config(&self) -> AdaptiveConfig {
        self.config.get()
    }

    /// What the limit is, what runs and waits now, and what has happened so far.
    pub fn figures(&self) -> ConcurrencyFigures {
        self.limiter.figures()
    }

    pub(super) fn info(&self) -> LayerInfo {
        let (settings, state, control) = (self.clone(), self.clone(), self.clone());
        LayerInfo::live("adaptive", move || json!(settings.config()))
            .with_state(move || {
                let mut figures = state.figures().to_json();
                if let Value::Object(figures) = &mut figures {
                    figures.insert("probing".to_owned(), state.tuner.is_probing().into());
                }
                figures
            })
            .with_control(move |changes| control.change(|config| merged(SECTION, config, changes)))
    }

    /// Adds the figures of the limit to those of its service: `kit_adaptive_...`. A limit that stands around several methods is
    /// shown once for each of them that this is called for, each time as a whole.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`](crate::telemetry::metrics::Metrics::gauge_fn).
    #[cfg(feature = "metrics")]
    pub fn observe(
        &self,
        metrics: &crate::telemetry::metrics::Metrics,
        method: &crate::Method,
        side: crate::telemetry::metrics::Side,
    ) -> Result<(), Error> {
        crate::layer::concurrency::metrics::observe(&self.limiter, metrics, "kit_adaptive", method, side)
    }
}

impl fmt::Debug for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adaptive").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

impl Middleware for Adaptive {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = AdaptiveLayer::new(self).for_method(endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}
