//! By what the services are watched: figures, traces, error reports, and the two ports that show them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kit::{
    config::{Validate, Violations},
    debug::{ConfigEntry, Debug, DebugConfig},
    server::Server,
    sql::Database,
    task::Tasks,
    telemetry::{
        Telemetry,
        log::Log,
        metrics::{Metrics, MetricsConfig},
        report::{ErrorReports, ReportConfig},
        reporter::{Destination, Reporter, ReporterConfig},
    },
    trace::{TraceConfig, Tracer},
};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// How long the last spans and the last error reports may take at a stop each.
const FLUSH: Duration = Duration::from_secs(3);

/// The settings of what a service is watched by: the section `telemetry`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where Prometheus reads the figures, at `/metrics`; `null` for nowhere.
    pub metrics_addr: Option<SocketAddr>,
    /// The figures.
    pub metrics: MetricsConfig,
    /// Which calls have spans that are recorded, and how a trace travels.
    pub trace: TraceConfig,
    /// Where spans are sent to. Default: Zipkin on this machine.
    pub spans: ReporterConfig,
    /// Who is told of failures.
    pub reports: ReportConfig,
    /// The debug port.
    pub debug: DebugConfig,
}

impl TelemetryConfig {
    /// The defaults of a service with these two ports, on the loopback.
    pub fn new(debug: u16, metrics: u16) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            metrics_addr: Some(at(metrics)),
            metrics: MetricsConfig::default(),
            trace: TraceConfig::default(),
            spans: ReporterConfig::new(Destination::Zipkin, ""),
            reports: ReportConfig { log: true, ..ReportConfig::default() },
            debug: DebugConfig { addr: at(debug), ..DebugConfig::default() },
        }
    }

    /// Takes free ports, for tests.
    pub fn listen_on(&mut self, addr: SocketAddr) {
        (self.metrics_addr, self.debug.addr) = (Some(addr), addr);
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self::new(5003, 5004)
    }
}

impl Validate for TelemetryConfig {
    fn validate(&self, report: &mut Violations) {
        report.section("metrics", &self.metrics);
        report.section("trace", &self.trace);
        report.section("spans", &self.spans);
        report.section("reports", &self.reports);
        report.section("debug", &self.debug);
    }
}

/// Adds the connections of a database to the figures of its service. A service goes on without them.
pub fn observe(database: &Database, metrics: &Metrics) {
    if let Err(error) = database.observe(metrics) {
        tracing::warn!(%error, "the database is not among the figures");
    }
}

/// What one service is watched by. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Instruments {
    name: &'static str,
    config: TelemetryConfig,
    metrics: Metrics,
    tracer: Tracer,
    reports: Option<ErrorReports>,
    /// Until a server takes it, to flush it at the stop.
    spans: Arc<Mutex<Option<Reporter>>>,
    tasks: Tasks,
    log: Option<Log>,
    settings: Vec<ConfigEntry>,
}

impl Instruments {
    /// Starts what the settings ask for. `name` is that of the service in traces and on pages, `addr` where it is called. To be
    /// called inside a Tokio runtime.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub fn start(name: &'static str, addr: SocketAddr, config: &TelemetryConfig) -> Result<Self, Failure> {
        let metrics = Metrics::with_config(&config.metrics)?;
        let spans = Reporter::start(&config.spans)?;
        let tracer = Tracer::builder(&config.trace, name).address(addr).export(spans.exporter()).build();
        let reports = config.reports.start()?;
        let tasks = Tasks::new();

        metrics.observe_process()?;
        metrics.observe_runtime(&tokio::runtime::Handle::current())?;
        tracer.observe(&metrics)?;
        tasks.observe(&metrics)?;
        if let Some(exporter) = spans.exporter() {
            exporter.observe(&metrics)?;
        }
        if let Some(reports) = &reports {
            reports.observe(&metrics)?;
        }
        Ok(Self {
            name,
            config: config.clone(),
            metrics,
            tracer,
            reports,
            spans: Arc::new(Mutex::new(Some(spans))),
            tasks,
            log: None,
            settings: Vec::new(),
        })
    }

    /// Shows the log's level on the debug port, and its counters among the figures.
    ///
    /// # Errors
    /// When there are too many figures.
    pub fn with_log(mut self, log: &Log) -> Result<Self, Failure> {
        log.observe(&self.metrics)?;
        self.log = Some(log.clone());
        Ok(self)
    }

    /// Shows the settings on the debug port.
    #[must_use]
    pub fn with_settings<I: IntoIterator<Item: Into<ConfigEntry>>>(mut self, settings: I) -> Self {
        self.settings = settings.into_iter().map(Into::into).collect();
        self
    }

    /// The figures of the service.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Background tasks that a stop waits for.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// For the chains of middleware.
    pub fn telemetry(&self) -> Telemetry {
        let telemetry = Telemetry::new().with_metrics(&self.metrics).with_tracer(&self.tracer);
        match &self.reports {
            Some(reports) => telemetry.with_reports(reports),
            None => telemetry,
        }
    }

    /// The debug port of the service, to which more may be added; to be handed to [`Instruments::serve`].
    pub fn debug(&self) -> Debug {
        let debug = Debug::new(self.name).version(env!("CARGO_PKG_VERSION")).config(&self.config.debug);
        let debug = debug.metrics(&self.metrics).settings(self.settings.iter().cloned());
        match &self.log {
            Some(log) => debug.log(log.clone()),
            None => debug,
        }
    }

    /// Adds both ports to the server of the service, and what is to be done at its stop.
    pub fn serve(&self, server: Server, debug: Debug) -> Server {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reports = self.reports.clone();
        let server = server
            .tasks(&self.tasks)
            .debug(debug)
            .on_stop("spans", FLUSH, || async move {
                if let Some(spans) = spans {
                    spans.shutdown(FLUSH).await;
                }
            })
            .on_stop("error reports", FLUSH, || async move {
                if let Some(reports) = reports {
                    reports.close().await;
                }
            });
        match self.config.metrics_addr {
            Some(addr) => server.metrics(addr, &self.metrics),
            None => server,
        }
    }
}
