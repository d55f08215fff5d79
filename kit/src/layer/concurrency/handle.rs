use std::sync::Arc;

use serde_json::{Value, json};
use tower::Layer as _;

use super::{ConcurrencyConfig, ConcurrencyFigures, ConcurrencyLayer, limiter::Limiter};
use crate::{
    Endpoint, Error, LayerInfo, Middleware, Payload,
    layer::change::{Live, merged},
};

/// A concurrency limit. Clones share it, and so do all services that it stands around: one limit around all methods of a
/// service is a bulkhead for the service, one for each method keeps them from each other.
///
/// As a [`Middleware`] it is one limit for all endpoints that it is put around; see the [module](super).
#[derive(Clone, Debug)]
pub struct Concurrency {
    pub(super) limiter: Limiter,
    config: Arc<Live<ConcurrencyConfig>>,
}

impl Concurrency {
    /// A limit that holds nothing yet.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &ConcurrencyConfig) -> Result<Self, Error> {
        let live = Arc::new(Live::new("concurrency", config)?);
        Ok(Self { limiter: Limiter::new(config.max, config.admission()), config: live })
    }

    /// Changes the settings while calls run. Those that run above a lower limit go on; those that wait keep their places and
    /// the time they may wait, and begin at once where a higher limit has room for them.
    ///
    /// # Errors
    /// As [`Concurrency::new`]; then nothing has changed.
    pub fn reconfigure(&self, config: &ConcurrencyConfig) -> Result<(), Error> {
        self.change(|_| Ok(config.clone()))
    }

    fn change(&self, make: impl FnOnce(&ConcurrencyConfig) -> Result<ConcurrencyConfig, Error>) -> Result<(), Error> {
        self.config.change(make, |_, config| {
            self.limiter.reconfigure(config.max, config.admission());
            Ok(())
        })
    }

    /// The settings that hold now.
    pub fn config(&self) -> ConcurrencyConfig {
        self.config.get()
    }

    /// What runs and waits now, and what has happened so far.
    pub fn figures(&self) -> ConcurrencyFigures {
        self.limiter.figures()
    }

    pub(super) fn info(&self) -> LayerInfo {
        let (settings, state, control) = (self.clone(), self.clone(), self.clone());
        LayerInfo::live("concurrency", move || json!(settings.config()))
            .with_state(move || state.figures().to_json())
            .with_control(move |changes| control.change(|config| merged("concurrency", config, changes)))
    }
}

impl ConcurrencyFigures {
    pub(crate) fn to_json(self) -> Value {
        json!({
            "limit": self.limit,
            "in_flight": self.in_flight,
            "queued": self.queued,
            "refused": { "full": self.full, "displaced": self.displaced, "timed_out": self.timed_out },
            "waited": self.waited,
            "waiting_time": crate::duration::format(self.waiting_time),
        })
    }
}

impl Middleware for Concurrency {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = ConcurrencyLayer::new(self).for_method(endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}
