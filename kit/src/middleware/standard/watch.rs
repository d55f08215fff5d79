//! What Prometheus is told of the layers of a method.

use super::{client, server};
use crate::{
    Error, Method,
    layer::{auth::Auth, authorize::Authorize},
    telemetry::metrics::{Metrics, Side},
};

impl server::Handles {
    pub(super) fn observe(&self, metrics: &Metrics, method: &Method, is_ruled: bool) {
        let validation = self.validation.as_ref().filter(|_| is_ruled);
        let told = [
            validation.map(|layer| layer.observe(metrics, method, Side::Server)),
            self.bbr.as_ref().map(|layer| layer.observe(metrics, method, Side::Server)),
            self.rate_limit.as_ref().map(|layer| layer.observe(metrics, method, Side::Server)),
            self.concurrency.as_ref().map(|layer| layer.observe(metrics, method, Side::Server)),
            self.adaptive.as_ref().map(|layer| layer.observe(metrics, method, Side::Server)),
            self.breaker.as_ref().map(|layer| layer.observe(metrics, method, Side::Server)),
            self.fault.as_ref().map(|layer| layer.observe(metrics, method, Side::Server)),
        ];
        warn(method, told.into_iter().flatten());
    }
}

impl client::ClientLayers {
    pub(super) fn observe(&self, metrics: &Metrics, method: &Method) {
        let handles = &self.handles;
        let told = [
            handles.retry.as_ref().map(|layer| layer.observe(metrics, method, Side::Client)),
            handles.hedge.as_ref().map(|layer| layer.observe(metrics, method, Side::Client)),
            handles.throttle.as_ref().map(|layer| layer.observe(metrics, method, Side::Client)),
            handles.breaker.as_ref().map(|layer| layer.observe(metrics, method, Side::Client)),
            handles.concurrency.as_ref().map(|layer| layer.observe(metrics, method, Side::Client)),
            handles.adaptive.as_ref().map(|layer| layer.observe(metrics, method, Side::Client)),
            handles.fault.as_ref().map(|layer| layer.observe(metrics, method, Side::Client)),
        ];
        warn(method, told.into_iter().flatten());
    }
}

/// Tells of those who were not let in.
pub(super) fn access(auth: Option<&Auth>, authorize: Option<&Authorize>, metrics: &Metrics, method: &Method) {
    let told = [
        auth.map(|layer| layer.observe(metrics, method, Side::Server)),
        authorize.map(|layer| layer.observe(metrics, method, Side::Server)),
    ];
    warn(method, told.into_iter().flatten());
}

/// A method that has the chain twice has its series already: then the first of them is told of.
fn warn(method: &Method, told: impl Iterator<Item = Result<(), Error>>) {
    if let Some(error) = told.filter_map(Result::err).next() {
        tracing::warn!(method = &*method.path, error = %error.to_log(), "a layer of the standard chain is not in the figures");
    }
}
