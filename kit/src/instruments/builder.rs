use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::runtime::Handle;

use super::{Instruments, InstrumentsConfig};
use crate::{
    Error,
    debug::ConfigEntry,
    task::Tasks,
    telemetry::{Telemetry, log::Log, metrics::Metrics, reporter::Reporter},
    trace::Tracer,
    validate::Validate as _,
};

/// Starts [`Instruments`].
#[derive(Clone, Debug)]
#[must_use = "nothing is started before `start`"]
pub struct InstrumentsBuilder {
    name: Cow<'static, str>,
    version: Option<Cow<'static, str>>,
    address: Option<SocketAddr>,
    config: InstrumentsConfig,
    log: Option<Log>,
    settings: Option<Vec<ConfigEntry>>,
}

impl InstrumentsBuilder {
    pub(super) fn new(name: Cow<'static, str>, config: &InstrumentsConfig) -> Self {
        Self { name, version: None, address: None, config: config.clone(), log: None, settings: None }
    }

    /// Shows the version of the program on the debug port: `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Where the service is called, which each of its spans says.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Shows the log's level on the debug port, where it can be changed, and its counters among the figures.
    pub fn log(mut self, log: &Log) -> Self {
        self.log = Some(log.clone());
        self
    }

    /// Shows the effective settings on the debug port: those of `Loaded::settings()`, which have their secrets masked.
    pub fn settings<I: IntoIterator<Item: Into<ConfigEntry>>>(mut self, settings: I) -> Self {
        self.settings.get_or_insert_default().extend(settings.into_iter().map(Into::into));
        self
    }

    /// Starts what the settings ask for. No port is open before a server [serves](Instruments::serve) it.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be used, `FAILED_PRECONDITION` outside of a Tokio runtime,
    /// `RESOURCE_EXHAUSTED` when there can be no more threads.
    pub fn start(self) -> Result<Instruments, Error> {
        let Self { name, version, address, config, log, settings } = self;
        config.check("")?;
        let runtime = Handle::try_current().map_err(|error| {
            Error::failed_precondition(format!(
                "the instruments of {name} need a Tokio runtime: start them inside of one"
            ))
            .with_source(error)
        })?;
        let metrics = Metrics::with_config(&config.metrics)?;
        let spans = Reporter::start(&config.spans)?;
        let tracer = Tracer::builder(&config.trace, &name).export(spans.exporter());
        let tracer = address.into_iter().fold(tracer, |tracer, address| tracer.address(address)).build();
        let reports = config.reports.start()?;
        let tasks = Tasks::new();

        metrics.observe_process()?;
        metrics.observe_runtime(&runtime)?;
        tracer.observe(&metrics)?;
        tasks.observe(&metrics)?;
        if let Some(exporter) = spans.exporter() {
            exporter.observe(&metrics)?;
        }
        if let Some(reports) = &reports {
            reports.observe(&metrics)?;
        }
        if let Some(log) = &log {
            log.observe(&metrics)?;
        }
        let telemetry = Telemetry::new().with_metrics(&metrics).with_tracer(&tracer);
        let telemetry = reports.iter().fold(telemetry, |telemetry, reports| telemetry.with_reports(reports));
        Ok(Instruments {
            name,
            version,
            metrics_addr: config.metrics_addr,
            debug: config.debug,
            metrics,
            telemetry,
            spans: Arc::new(Mutex::new(Some(spans))),
            tasks,
            log,
            settings,
        })
    }
}
