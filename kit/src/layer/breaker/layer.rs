use serde_json::json;
use tower::Layer;

use super::{Breaker, BreakerService, control};
use crate::LayerInfo;

/// Puts a breaker around a service.
#[derive(Clone, Debug)]
pub struct BreakerLayer {
    pub(crate) breaker: Option<Breaker>,
}

impl BreakerLayer {
    /// All services with this breaker share it: what one of them suffers opens it for all.
    pub fn new(breaker: &Breaker) -> Self {
        Self { breaker: Some(breaker.clone()) }
    }

    /// Refuses nothing, at no cost: for a chain whose type has the layer whether there is a breaker or not.
    pub fn none() -> Self {
        Self { breaker: None }
    }

    /// What the layer tells of itself, with a way to change it while it runs: an object with settings, and `"force"`, which is
    /// `"open"`, `"closed"` or `"none"`. `None` for one that refuses nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let breaker = self.breaker.as_ref()?;
        let (settings, state, changed) = (breaker.clone(), breaker.clone(), breaker.clone());
        let info = LayerInfo::live("breaker", move || json!(settings.config()))
            .with_state(move || control::state(&state))
            .with_control(move |change| control::change(&changed, change));
        Some(info)
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = BreakerService<S>;

    fn layer(&self, inner: S) -> BreakerService<S> {
        BreakerService::new(inner, self.breaker.clone())
    }
}
