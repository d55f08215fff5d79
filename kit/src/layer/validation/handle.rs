use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use serde_json::json;
use tower::Layer as _;

use super::{ValidationConfig, ValidationLayer};
use crate::{Endpoint, Error, LayerInfo, Middleware, Payload, validate::Validate as _};

/// The check of requests, and how many it refused. Clones count together.
///
/// As a [`Middleware`] it stands around the endpoints whose request has rules, and leaves the others as they are.
#[derive(Clone, Debug)]
pub struct Validation(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    config: ValidationConfig,
    rejected: AtomicU64,
}

impl Validation {
    /// A check that has refused nothing yet.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &ValidationConfig) -> Result<Self, Error> {
        config.check("")?;
        Ok(Self(Arc::new(Shared { config: config.clone(), rejected: AtomicU64::new(0) })))
    }

    /// The settings.
    pub fn config(&self) -> &ValidationConfig {
        &self.0.config
    }

    /// How many requests it refused, and streams it ended.
    pub fn rejected(&self) -> u64 {
        self.0.rejected.load(Relaxed)
    }

    pub(super) fn info(&self) -> LayerInfo {
        let state = self.clone();
        LayerInfo::new("validation", json!(self.0.config)).with_state(move || json!({ "rejected": state.rejected() }))
    }

    /// The error of a message that breaks rules.
    pub(super) fn refusal(&self, message: &impl Payload) -> Option<Error> {
        let error = message.broken_rules(self.0.config.max_violations)?;
        self.0.rejected.fetch_add(1, Relaxed);
        Some(error)
    }
}

impl Middleware for Validation {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        if !Req::IS_RULED || !self.0.config.enabled {
            return endpoint;
        }
        let layer = ValidationLayer::new(self);
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}
