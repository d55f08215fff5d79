#[cfg(feature = "metrics")]
use super::metrics::Metrics;
use super::report::ErrorReports;
#[cfg(feature = "trace")]
use crate::trace::Tracer;

/// By what the calls of one service are watched: its figures, its tracer and its error reports, as far as there are any.
///
/// `main` makes one for each service and hands it to the chain of the service and to those of the clients it uses. What is
/// left out costs nothing.
///
/// ```
/// use kit::{middleware::StandardStack, telemetry::Telemetry};
///
/// # #[cfg(all(feature = "metrics", feature = "trace"))] {
/// use kit::{telemetry::metrics::Metrics, trace::{TraceConfig, Tracer}};
///
/// let metrics = Metrics::new();
/// let tracer = Tracer::builder(&TraceConfig::default(), "greeter").build();
/// let telemetry = Telemetry::new().with_metrics(&metrics).with_tracer(&tracer);
/// let stack = StandardStack::default().watched_by(&telemetry);
/// // `GreeterEndpoints::new(Polite).with(&stack)`
/// # let _ = stack; }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
    #[cfg(feature = "trace")]
    tracer: Tracer,
    reports: Option<ErrorReports>,
}

impl Telemetry {
    /// Nothing is watched.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls are counted here.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn with_metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Calls have spans of this tracer.
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn with_tracer(mut self, tracer: &Tracer) -> Self {
        self.tracer = tracer.clone();
        self
    }

    /// Failures are reported here.
    #[must_use]
    pub fn with_reports(mut self, reports: &ErrorReports) -> Self {
        self.reports = Some(reports.clone());
        self
    }

    /// Where failures are reported.
    pub fn reports(&self) -> Option<&ErrorReports> {
        self.reports.as_ref()
    }

    /// Where calls are counted.
    #[cfg(feature = "metrics")]
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// The tracer: a disabled one when there is none.
    #[cfg(feature = "trace")]
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }
}
