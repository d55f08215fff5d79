use std::{fmt, sync::Arc};

use serde_json::Value;
use tower::Layer;

use super::{ResponseCache, ResponseCacheService, handle::MethodCache};
use crate::{Error, LayerInfo, Method};

/// Keeps the answers of one method.
#[derive(Clone)]
pub struct ResponseCacheLayer {
    method: Option<Arc<MethodCache>>,
}

impl ResponseCacheLayer {
    /// Keeps the answers of a method: all layers of one handle and method share them.
    pub fn new(cache: &ResponseCache, method: &Method) -> Self {
        Self { method: Some(cache.method(method)) }
    }

    /// Keeps nothing, at no cost: for a chain whose type has the layer whether it is there or not.
    pub fn none() -> Self {
        Self { method: None }
    }

    /// What the layer tells of itself, its store without a password; `{"clear": true}` forgets the answers of the method, as
    /// [`ResponseCache::clear_method`]. `None` for one that keeps nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let method = self.method.as_ref()?;
        let (state, control) = (Arc::clone(method), Arc::clone(method));
        let info = LayerInfo::new("response_cache", method.settings()).with_state(move || state.state());
        Some(info.with_control(move |change| {
            let only_clear = change.as_object().is_some_and(|change| change.len() == 1);
            if !only_clear || change.get("clear") != Some(&Value::Bool(true)) {
                return Err(Error::invalid_argument(
                    "a response cache takes {\"clear\": true}; its settings are those it was made with",
                ));
            }
            control.clear();
            Ok(())
        }))
    }
}

impl fmt::Debug for ResponseCacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_ref().map(|method| &method.method);
        f.debug_struct("ResponseCacheLayer").field("method", &method).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ResponseCacheLayer {
    type Service = ResponseCacheService<S>;

    fn layer(&self, inner: S) -> ResponseCacheService<S> {
        ResponseCacheService::new(inner, self.method.clone())
    }
}
