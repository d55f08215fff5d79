use serde_json::{Value, json};
use tower::ServiceBuilder;

use super::Middleware;
#[cfg(feature = "metrics")]
use crate::layer::metrics::MetricsLayer;
#[cfg(feature = "trace")]
use crate::layer::trace::TraceLayer;
use crate::{
    Endpoint, LayerInfo, Payload, Transport,
    layer::{
        access_log::AccessLogLayer,
        recover::RecoverLayer,
        report::ReportLayer,
        timeout::{TimeoutConfig, TimeoutLayer},
    },
    telemetry::Telemetry,
    validate::{Validate, Violations},
};

/// The settings of the standard chain.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandardConfig {
    /// How long calls may take.
    pub timeout: TimeoutConfig,
}

impl Validate for StandardConfig {
    fn validate(&self, report: &mut Violations) {
        report.section("timeout", &self.timeout);
    }
}

/// The chain that stands around every method of a service, or of a client, unless its author says otherwise.
///
/// Around a service, from the outside in:
///
/// | layer | why it stands there |
/// |---|---|
/// | trace | everything else belongs to the span, and its ids stand on every line that is logged |
/// | metrics | counts what callers get, refusals and recovered panics among it |
/// | access log | writes what callers get |
/// | report | hands failures of ours on, with the stack that a recovered panic has |
/// | recover | turns a panic of anything behind it into an answer, so that log, figures and span have it |
/// | timeout | innermost: time is counted for the work alone |
///
/// Around a client there are trace, metrics and timeout. Trace, metrics and report are there when
/// [`StandardStack::watched_by`] gave them something to tell it to. The whole chain is one erasure of types.
///
/// What is put around endpoints later stands outside of what is there: `.with(&yours).with(&standard)` has yours inside, where
/// the log sees its refusals.
#[derive(Clone, Debug, Default)]
pub struct StandardStack {
    config: StandardConfig,
    telemetry: Telemetry,
    /// How calls are made, by a client.
    client: Option<Transport>,
}

impl StandardStack {
    /// The chain of a service.
    pub fn server(config: &StandardConfig) -> Self {
        Self { config: config.clone(), ..Self::default() }
    }

    /// The chain of a client that calls through `transport`: that of its channel, [`Transport::Local`] for a service in this
    /// process.
    pub fn client(config: &StandardConfig, transport: Transport) -> Self {
        Self { config: config.clone(), client: Some(transport), ..Self::default() }
    }

    /// Reports every call.
    #[must_use]
    pub fn watched_by(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = telemetry.clone();
        self
    }

    #[cfg(feature = "metrics")]
    fn metrics(&self, method: &crate::Method) -> MetricsLayer {
        match (self.telemetry.metrics(), self.client) {
            (None, _) => MetricsLayer::none(),
            (Some(metrics), None) => MetricsLayer::server(metrics, method),
            (Some(metrics), Some(transport)) => MetricsLayer::client(metrics, method, transport),
        }
    }

    #[cfg(feature = "trace")]
    fn trace(&self, method: &crate::Method) -> TraceLayer {
        let tracer = self.telemetry.tracer();
        match self.client {
            None => TraceLayer::server(tracer, method),
            Some(_) => TraceLayer::client(tracer, method),
        }
    }
}

impl Middleware for StandardStack {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let limit = self.config.timeout.of(endpoint.method());
        let mut layers = Vec::new();
        let stack = ServiceBuilder::new();
        #[cfg(feature = "trace")]
        let stack = {
            layers.extend(self.telemetry.tracer().is_enabled().then(|| LayerInfo::new("trace", Value::Null)));
            stack.layer(self.trace(endpoint.method()))
        };
        #[cfg(feature = "metrics")]
        let stack = {
            let metrics = self.metrics(endpoint.method());
            layers.extend(metrics.info());
            stack.layer(metrics)
        };
        let timeout = LayerInfo::new("timeout", json!({ "timeout": limit.map(crate::duration::format) }));
        if self.client.is_some() {
            layers.push(timeout);
            let stack = stack.layer(TimeoutLayer::client(limit));
            return endpoint.wrap(layers, |inner| stack.service(inner));
        }
        let report =
            self.telemetry.reports().map_or_else(ReportLayer::none, |reports| ReportLayer::new(reports.clone()));
        layers.push(LayerInfo::new("access_log", Value::Null));
        layers.extend(report.info());
        layers.extend([LayerInfo::new("recover", Value::Null), timeout]);
        let stack = stack.layer(AccessLogLayer::new()).layer(report);
        let stack = stack.layer(RecoverLayer::new()).layer(TimeoutLayer::server(limit));
        endpoint.wrap(layers, |inner| stack.service(inner))
    }
}
