use std::{fmt, sync::Arc};

use tower::Layer;

use super::{Fallback, FallbackService};
use crate::{LayerInfo, Payload};

/// Puts a fallback around a service.
pub struct FallbackLayer<Req, Res> {
    pub(super) fallback: Option<Arc<Fallback<Req, Res>>>,
}

impl<Req: Payload, Res: Payload> FallbackLayer<Req, Res> {
    /// Answers by this fallback.
    pub fn new(fallback: &Fallback<Req, Res>) -> Self {
        Self { fallback: Some(Arc::new(fallback.clone())) }
    }

    /// What the layer tells of itself: its settings, where the other answers come from, and how many there were. `None` for one
    /// without a fallback.
    pub fn info(&self) -> Option<LayerInfo> {
        let fallback = self.fallback.as_ref()?;
        let state = Arc::clone(fallback);
        Some(LayerInfo::new("fallback", fallback.settings()).with_state(move || state.state()))
    }
}

impl<Req, Res> FallbackLayer<Req, Res> {
    /// Without a fallback, at no cost: for a chain whose type has the layer whether there is one or not.
    pub fn none() -> Self {
        Self { fallback: None }
    }
}

impl<Req, Res> Clone for FallbackLayer<Req, Res> {
    fn clone(&self) -> Self {
        Self { fallback: self.fallback.clone() }
    }
}

impl<Req, Res> fmt::Debug for FallbackLayer<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer").field("fallback", &self.fallback).finish()
    }
}

impl<S, Req, Res> Layer<S> for FallbackLayer<Req, Res> {
    type Service = FallbackService<S, Req, Res>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService::new(inner, self.fallback.clone())
    }
}
