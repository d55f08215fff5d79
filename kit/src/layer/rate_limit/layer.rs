use tower::Layer;

use super::{RateLimit, RateLimited};
use crate::{Endpoint, LayerInfo, Middleware, Payload};

/// Puts a limit around a service.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    pub(crate) limit: Option<RateLimit>,
    headers: bool,
}

impl RateLimitLayer {
    /// All services that a clone of the limit is put around share it.
    pub fn new(limit: &RateLimit) -> Self {
        Self { limit: Some(limit.clone()), headers: true }
    }

    /// Limits nothing, at no cost: for a chain whose type has the layer whether there is a limit or not.
    pub fn none() -> Self {
        Self { limit: None, headers: false }
    }

    /// Without the RateLimit headers, whatever the settings say: for a client, because what it refuses is no limit of the
    /// service it calls, and its errors may travel on to our own caller.
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        self.headers = false;
        self
    }

    /// What the layer tells of itself; changed by the settings' own names, and by `{"reset": true}`, which forgives all debts.
    /// `None` for one that limits nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let limit = self.limit.as_ref()?;
        let (settings, state, control) = (limit.clone(), limit.clone(), limit.clone());
        let info = LayerInfo::live("rate_limit", move || settings.settings());
        Some(info.with_state(move || state.state()).with_control(move |changes| control.control(changes)))
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimited<S>;

    fn layer(&self, inner: S) -> RateLimited<S> {
        RateLimited::new(inner, self.limit.clone(), self.headers)
    }
}

impl Middleware for RateLimit {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = RateLimitLayer::new(self);
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}
