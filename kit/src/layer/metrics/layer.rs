use std::sync::Arc;

use serde_json::json;
use tower::Layer;

use super::MeteredCall;
use crate::{
    Endpoint, LayerInfo, Method, Middleware, Payload, Transport,
    telemetry::metrics::{MethodSeries, Metrics, Side},
};

/// Counts the calls of one method.
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    pub(crate) series: Option<Arc<MethodSeries>>,
    transport: Option<Transport>,
}

impl MetricsLayer {
    /// Counts the calls that are served, by the transport that each came through.
    pub fn server(metrics: &Metrics, method: &Method) -> Self {
        Self { series: Some(metrics.series(Side::Server, method)), transport: None }
    }

    /// Counts nothing, at no cost: for a chain whose type has the layer whether there are metrics or not.
    pub fn none() -> Self {
        Self { series: None, transport: None }
    }

    /// Counts the calls that are made through a transport: that of the channel, `Transport::Local` for a service in this
    /// process.
    pub fn client(metrics: &Metrics, method: &Method, transport: Transport) -> Self {
        Self { series: Some(metrics.series(Side::Client, method)), transport: Some(transport) }
    }

    /// What the layer tells of itself: its side, and the calls so far. `None` for one that counts nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let series = Arc::clone(self.series.as_ref()?);
        let side = series.figures().side;
        Some(LayerInfo::new("metrics", json!({ "side": side.name() })).with_state(move || {
            let now = series.figures();
            json!({ "calls": now.calls, "errors": now.errors, "in_flight": now.in_flight })
        }))
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = MeteredCall<S>;

    fn layer(&self, inner: S) -> MeteredCall<S> {
        MeteredCall::new(inner, self.series.clone(), self.transport)
    }
}

/// The layer as a middleware, for services and clients that put their chain together themselves.
///
/// Not beside the standard chain: [`StandardStack`](crate::middleware::StandardStack) has the layer when it is
/// [watched by](crate::middleware::StandardStack::watched_by) figures, and with both each call would count twice.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    metrics: Metrics,
    client: Option<Transport>,
}

impl CallMetrics {
    /// Counts the calls that are served.
    pub fn server(metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), client: None }
    }

    /// Counts the calls that are made through a transport: see [`MetricsLayer::client`].
    pub fn client(metrics: &Metrics, transport: Transport) -> Self {
        Self { metrics: metrics.clone(), client: Some(transport) }
    }
}

impl Middleware for CallMetrics {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = match self.client {
            None => MetricsLayer::server(&self.metrics, endpoint.method()),
            Some(transport) => MetricsLayer::client(&self.metrics, endpoint.method(), transport),
        };
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}
