use serde_json::json;
use tower::Layer;

use super::{Throttle, ThrottleService};
use crate::{LayerInfo, layer::change::merged};

/// Puts a throttle around a client.
#[derive(Clone, Debug)]
pub struct ThrottleLayer {
    throttle: Option<Throttle>,
}

impl ThrottleLayer {
    /// All clients with this throttle share it: they should call the same service.
    pub fn new(throttle: &Throttle) -> Self {
        Self { throttle: Some(throttle.clone()) }
    }

    /// Refuses nothing, at no cost: for a chain whose type has the layer whether there is a throttle or not.
    pub fn none() -> Self {
        Self { throttle: None }
    }

    /// What the layer tells of itself, with a way to change it while it runs: an object with settings. `None` for one that refuses
    /// nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let throttle = self.throttle.as_ref()?;
        let (settings, state, changed) = (throttle.clone(), throttle.clone(), throttle.clone());
        let info = LayerInfo::live("throttle", move || json!(settings.config()))
            .with_state(move || {
                let now = state.figures();
                json!({
                    "requests": now.requests,
                    "accepts": now.accepts,
                    "probability": now.probability,
                    "rejected": now.rejected,
                })
            })
            .with_control(move |change| changed.change(|config| merged("throttle", config, change)));
        Some(info)
    }
}

impl<S> Layer<S> for ThrottleLayer {
    type Service = ThrottleService<S>;

    fn layer(&self, inner: S) -> ThrottleService<S> {
        ThrottleService::new(inner, self.throttle.clone())
    }
}
