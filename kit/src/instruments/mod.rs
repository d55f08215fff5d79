//! Everything a service is watched by, in one value: one line starts it, one line serves it.
//!
//! ```
//! use kit::{
//!     Context, Error,
//!     instruments::{Instruments, InstrumentsConfig},
//!     middleware::StandardStack,
//!     server::Server,
//! };
//!
//! # mod proto { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/generated/hello/protos.rs")); }
//! # use proto::hello::{Greeter, GreeterEndpoints, HelloReply, HelloRequest};
//! # struct Polite;
//! # impl Greeter for Polite {
//! #     async fn hello(&self, _: &Context, _: HelloRequest) -> Result<HelloReply, Error> { Ok(HelloReply::default()) }
//! # }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = InstrumentsConfig::default();      // the section `telemetry:` of a service's settings
//!     # let config = { let mut config = config; config.listen_on("127.0.0.1:0".parse()?); config };
//!     let instruments = Instruments::builder("greeter", &config).version(env!("CARGO_PKG_VERSION")).start()?;
//!
//!     let stack = StandardStack::default().watched_by(&instruments.telemetry());
//!     let endpoints = GreeterEndpoints::new(Polite).with(&stack);
//!     let server = instruments.serve(Server::new().http("127.0.0.1:0").service(&endpoints)).bind().await?;
//!     server.run(async { /* `kit::server::shutdown_signal()` */ }).await?;
//!     Ok(())
//! }
//! ```
//!
//! That is all of this:
//!
//! | what | where | more |
//! |---|---|---|
//! | figures of calls, of the process and of the runtime | `/metrics` on a port of its own | [`telemetry::metrics`](crate::telemetry::metrics) |
//! | spans of calls | Zipkin, or any collector that takes OTLP (feature `otlp`) | [`trace`](crate::trace), [`telemetry::reporter`](crate::telemetry::reporter) |
//! | reports of failures | the log, Sentry (feature `sentry`) | [`telemetry::report`](crate::telemetry::report) |
//! | charts, layers, settings, tasks, level of the log, profiles (features `pprof`, `heap`) | `/debug/` on a port of its own | [`debug`](crate::debug) |
//! | background tasks | the stop waits for them | [`task`](crate::task) |
//!
//! The log stays with `main`, which starts it before all else and closes it after all else; [`InstrumentsBuilder::log`] shows it.
//! Two services of one process have two of these. A service that wants only some of it puts the parts together by itself: there
//! is nothing in here that is not public elsewhere.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    Error,
    debug::{ConfigEntry, Debug, DebugConfig},
    server::Server,
    task::Tasks,
    telemetry::{Telemetry, log::Log, metrics::Metrics, reporter::Reporter},
};

mod builder;
mod config;

pub use builder::InstrumentsBuilder;
pub use config::InstrumentsConfig;

/// How long the last spans and the last error reports may take at a stop, each: a collector that is well takes them in
/// milliseconds, and one that is not is no reason to keep an orchestrator waiting.
const FLUSH: Duration = Duration::from_secs(3);

/// After [`FLUSH`], a moment for the reporter to say in the log what was lost.
const FLUSH_LIMIT: Duration = Duration::from_secs(4);

/// What one service is watched by: see the [module](self). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Instruments {
    name: Cow<'static, str>,
    version: Option<Cow<'static, str>>,
    metrics_addr: Option<SocketAddr>,
    debug: DebugConfig,
    metrics: Metrics,
    telemetry: Telemetry,
    /// Until a server takes it, to flush it at the stop.
    spans: Arc<Mutex<Option<Reporter>>>,
    tasks: Tasks,
    log: Option<Log>,
    settings: Option<Vec<ConfigEntry>>,
}

impl Instruments {
    /// The instruments of a service, by the name that it has in traces and on the pages of its debug port.
    pub fn builder(name: impl Into<Cow<'static, str>>, config: &InstrumentsConfig) -> InstrumentsBuilder {
        InstrumentsBuilder::new(name.into(), config)
    }

    /// For the chains of middleware of the service, and of the clients that it calls others by:
    /// [`StandardStack::watched_by`](crate::middleware::StandardStack::watched_by).
    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
    }

    /// The figures of the service.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Background tasks that a stop waits for.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Adds figures of another part of the service. What can't be added is a warning in the log and no more: a service does its
    /// work without a figure.
    ///
    /// `instruments.observe(|metrics| database.observe(metrics))`
    pub fn observe(&self, add: impl FnOnce(&Metrics) -> Result<(), Error>) {
        if let Err(error) = add(&self.metrics) {
            tracing::warn!(service = &*self.name, error = %error.to_log(), "the service goes on without some of its figures");
        }
    }

    /// Adds to the server of the service the ports that the settings ask for, the background tasks, and the sending of the
    /// last spans and error reports at the stop.
    #[must_use]
    pub fn serve(&self, server: Server) -> Server {
        self.serve_with(server, |debug| debug)
    }

    /// The same with more on the debug port: the clients of the service, gauges of its own.
    ///
    /// `instruments.serve_with(server, |debug| debug.client(comments.endpoints()))`
    ///
    /// The first server that is given to one of these sends the last spans; give it no second one.
    #[must_use]
    pub fn serve_with(&self, server: Server, show: impl FnOnce(Debug) -> Debug) -> Server {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reports = self.telemetry.reports().cloned();
        let server = server
            .tasks(&self.tasks)
            .debug(show(self.debug_port()))
            .on_stop("spans", FLUSH_LIMIT, || async move {
                if let Some(spans) = spans {
                    spans.shutdown(FLUSH).await;
                }
            })
            .on_stop("error reports", FLUSH, || async move {
                if let Some(reports) = reports {
                    reports.close().await;
                }
            });
        match self.metrics_addr {
            Some(addr) => server.metrics(addr, &self.metrics),
            None => server,
        }
    }

    fn debug_port(&self) -> Debug {
        let debug = Debug::new(self.name.clone()).config(&self.debug).metrics(&self.metrics);
        let debug = self.version.iter().fold(debug, |debug, version| debug.version(version.clone()));
        let debug = self.settings.iter().fold(debug, |debug, settings| debug.settings(settings.iter().cloned()));
        self.log.iter().fold(debug, |debug, log| debug.log(log.clone()))
    }
}
