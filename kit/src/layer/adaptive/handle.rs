use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tower::Layer as _;

use super::{AdaptiveConfig, AdaptiveLayer, algorithm::Limit, tuner::Tuner};
use crate::{
    Endpoint, Error, LayerInfo, Middleware, Payload,
    layer::concurrency::{ConcurrencyFigures, control, limiter::Limiter},
};

/// A concurrency limit that finds itself. Clones share it, and so do all services that it stands around: what it learns is
/// about what they have in common. Methods that take very different times want one each.
///
/// As a [`Middleware`] it is one limit for all endpoints that it is put around; see the [module](super).
#[derive(Clone)]
pub struct Adaptive {
    pub(super) limiter: Limiter,
    pub(super) tuner: Arc<Tuner>,
    config: Arc<ArcSwap<AdaptiveConfig>>,
    /// Whether the algorithm is one of ours, which settings can change.
    built: bool,
}

impl Adaptive {
    /// A limit that has learned nothing yet.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &AdaptiveConfig) -> Result<Self, Error> {
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
        config.check().map_err(control::refused)?;
        let limiter = Limiter::new(config.initial, config.admission());
        let tuner = Arc::new(Tuner::new(&limiter, config, limit));
        Ok(Self { limiter, tuner, config: Arc::new(ArcSwap::from_pointee(config.clone())), built })
    }

    /// Changes the settings while calls run. The limit goes on from where it is, between the new bounds; what was learned is
    /// kept unless the algorithm or one of its settings changes.
    ///
    /// # Errors
    /// As [`Adaptive::new`]; then nothing has changed.
    pub fn reconfigure(&self, config: &AdaptiveConfig) -> Result<(), Error> {
        config.check().map_err(control::refused)?;
        let before = self.config();
        let same = config.algorithm == before.algorithm
            && config.tolerance == before.tolerance
            && config.smoothing == before.smoothing
            && config.long_window == before.long_window
            && config.backoff == before.backoff
            && config.slow == before.slow;
        self.limiter.reconfigure(config.admission());
        self.tuner.reconfigure(config, self.built && !same);
        self.config.store(Arc::new(config.clone()));
        Ok(())
    }

    /// The settings that hold now.
    pub fn config(&self) -> AdaptiveConfig {
        AdaptiveConfig::clone(&self.config.load())
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
            .with_control(move |changes| control.reconfigure(&control::merged(&control.config(), changes)?))
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
