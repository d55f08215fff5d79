use std::sync::Arc;

use tower::Layer;

use super::{Auth, AuthService, handle::Gate};
use crate::{LayerInfo, Method};

/// Puts the question who calls before the calls of a method.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    pub(crate) gate: Option<Arc<Gate>>,
}

impl AuthLayer {
    /// For a method, which may be a public one.
    pub fn new(auth: &Auth, method: &Method) -> Self {
        Self { gate: Some(Arc::new(auth.gate(method))) }
    }

    /// Asks nothing, at no cost: for a chain whose type has the layer whether callers are known or not.
    pub fn none() -> Self {
        Self { gate: None }
    }

    /// What the layer tells of itself; `None` for one that asks nothing. It can't be changed while it runs.
    pub fn info(&self) -> Option<LayerInfo> {
        let gate = self.gate.as_ref()?;
        let (settings, state) = (Arc::clone(gate), Arc::clone(gate));
        Some(LayerInfo::live("auth", move || settings.settings()).with_state(move || state.state()))
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService::new(inner, self.gate.clone())
    }
}
