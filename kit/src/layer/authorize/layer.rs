use std::sync::Arc;

use tower::Layer;

use super::{Authorize, AuthorizeService, handle::Judge};
use crate::{LayerInfo, Method};

/// Puts the question what a caller may do before the calls of a method.
#[derive(Clone, Debug)]
pub struct AuthorizeLayer {
    pub(crate) judge: Option<Arc<Judge>>,
}

impl AuthorizeLayer {
    /// For a method, by its rule.
    pub fn new(authorize: &Authorize, method: &Method) -> Self {
        Self { judge: Some(Arc::new(authorize.judge(method))) }
    }

    /// Asks nothing, at no cost: for a chain whose type has the layer whether there are rules or not.
    pub fn none() -> Self {
        Self { judge: None }
    }

    /// What the layer tells of itself; `None` for one that asks nothing. It can't be changed while it runs.
    pub fn info(&self) -> Option<LayerInfo> {
        let judge = self.judge.as_ref()?;
        let state = Arc::clone(judge);
        Some(LayerInfo::new("authorize", judge.settings()).with_state(move || state.state()))
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = AuthorizeService<S>;

    fn layer(&self, inner: S) -> AuthorizeService<S> {
        AuthorizeService::new(inner, self.judge.clone())
    }
}
