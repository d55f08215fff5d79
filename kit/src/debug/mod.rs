//! The debug port: what a running service can be asked by those who keep it alive.
//!
//! A listener of its own, on this machine only unless configured otherwise. `/debug/` links all pages:
//!
//! | path | what |
//! |---|---|
//! | `/debug/charts/` | live charts: calls, durations and errors of each method, the process, the state of layers |
//! | `/debug/stack` | the layers around each method, with their settings and their state; below it each layer has an address, and `PUT` changes its settings |
//! | `/debug/config` | the effective settings, secrets masked, each with its source |
//! | `/debug/log` | the level of the log; `PUT` changes it |
//! | `/debug/tasks` | background tasks and the runtime |
//! | `/debug/vars` | all figures as JSON |
//! | `/debug/pprof/`, `/debug/flamegraph` | profiles (feature `pprof`) |
//!
//! `main` passes in what is to be seen:
//!
//! ```
//! use kit::{Endpoints, debug::{Debug, DebugConfig, Unit}, server::Server, telemetry::metrics::Metrics};
//!
//! # fn example<E: Endpoints>(endpoints: &E) {
//! let config = DebugConfig::default();
//! let metrics = Metrics::new();
//! let debug = Debug::new("details")
//!     .version(env!("CARGO_PKG_VERSION"))
//!     .config(&config)
//!     .metrics(&metrics)
//!     .gauges("Queue", Unit::Count, ["waiting"], || [17.0]);
//! let server = Server::new().http("127.0.0.1:5001").service(endpoints).debug(debug);
//! # drop(server); }
//! ```
//!
//! The figures of the last fifteen minutes are kept, one a second, in at most [`Debug::MAX_HISTORY_BYTES`].

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

use crate::{
    Endpoints,
    task::Tasks,
    telemetry::metrics::{Metrics, Side},
};

mod answer;
mod charts;
mod config;
#[cfg(feature = "pprof")]
mod flamegraph;
mod guard;
#[cfg(feature = "heap")]
pub mod heap;
mod pages;
#[cfg(feature = "pprof")]
mod pprof;
mod refusal;
mod runtime;
mod sources;
mod stack;

pub use charts::Unit;
use charts::{FiguresSource, FromMetrics, Gauges, Sampler};
pub use config::DebugConfig;
use pages::Shared;
#[cfg(feature = "pprof")]
use pprof::Profiles;
use refusal::Refusal;
pub use sources::{ConfigEntry, LogControl};

/// What is to be seen on the debug port of a service; made ready by [`Debug::start`].
#[must_use]
pub struct Debug {
    name: Cow<'static, str>,
    version: Option<Cow<'static, str>>,
    config: DebugConfig,
    metrics: Option<Metrics>,
    sources: Vec<Box<dyn FiguresSource>>,
    stack: Vec<stack::MethodStack>,
    gauges: Vec<Gauges>,
    settings: Option<Vec<ConfigEntry>>,
    log: Option<Box<dyn LogControl>>,
    tasks: Vec<Tasks>,
}

impl Debug {
    /// The most that the figures for the charts take: 1.5 MB, for 64 methods and 32 other lines.
    pub const MAX_HISTORY_BYTES: usize = charts::MAX_BYTES;

    /// The debug port of a service, by the name that its pages show.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            version: None,
            config: DebugConfig::default(),
            metrics: None,
            sources: Vec::new(),
            stack: Vec::new(),
            gauges: Vec::new(),
            settings: None,
            log: None,
            tasks: Vec::new(),
        }
    }

    /// Shows the version of the program: `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets where the port is, who may ask, and whether there are charts.
    pub fn config(mut self, config: &DebugConfig) -> Self {
        self.config = config.clone();
        self
    }

    /// Where the port is, and who may ask.
    pub(crate) fn settings_of_port(&self) -> &DebugConfig {
        &self.config
    }

    /// Draws the methods that are counted there.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self.sources.push(Box::new(FromMetrics::new(metrics.clone())));
        self
    }

    /// Shows the layers around the methods of a service.
    pub fn service<E: Endpoints>(mut self, endpoints: &E) -> Self {
        self.stack.extend(stack::of(Side::Server, endpoints));
        self
    }

    /// Shows the layers around the methods of a client, given by its `endpoints()`.
    pub fn client<E: Endpoints>(mut self, endpoints: &E) -> Self {
        self.stack.extend(stack::of(Side::Client, endpoints));
        self
    }

    /// Draws a chart of figures of the program's own: of its allocator, of a queue. `read` is asked once a second, on a thread
    /// of the runtime: it must not wait for anything. What is not known is `f64::NAN`. A title that is there already gets a
    /// number.
    ///
    /// There are 32 lines in all, six of them the kit's own; what is too much is not drawn.
    pub fn gauges<const N: usize>(
        mut self,
        title: &'static str,
        unit: Unit,
        names: [&'static str; N],
        read: impl Fn() -> [f64; N] + Send + Sync + 'static,
    ) -> Self {
        let read = Box::new(move || read().to_vec());
        self.gauges.push(Gauges::new(title, &self.gauges, unit, names.to_vec(), read));
        self
    }

    /// Shows the effective settings: those of `Loaded::settings()`, which have their secrets masked.
    pub fn settings<I: IntoIterator<Item: Into<ConfigEntry>>>(mut self, settings: I) -> Self {
        self.settings.get_or_insert_default().extend(settings.into_iter().map(Into::into));
        self
    }

    /// Shows the level of the log, and lets it be changed.
    pub fn log(mut self, log: impl LogControl) -> Self {
        self.log = Some(Box::new(log));
        self
    }

    /// Shows background tasks. Those of [`Server::tasks`](crate::server::Server::tasks) are shown by themselves.
    pub fn tasks(mut self, tasks: &Tasks) -> Self {
        self.tasks.push(tasks.clone());
        self
    }

    /// Starts to take figures, by a task that ends with the [`DebugPort`], for a program that serves the pages itself.
    /// [`Server::debug`](crate::server::Server::debug) does this and more; here [`DebugConfig::enabled`] and
    /// [`DebugConfig::addr`] are not read: whether there is a port, and where, is said by whoever serves
    /// [`DebugPort::routes`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use = "the charts end when it is dropped"]
    pub fn start(self) -> DebugPort {
        let (runtime, started) = (Handle::current(), Instant::now());
        #[cfg(feature = "heap")]
        let this = if heap::is_running() {
            self.gauges("Allocator", Unit::Bytes, ["allocated", "resident"], heap::figures)
        } else {
            self
        };
        #[cfg(not(feature = "heap"))]
        let this = self;
        this.sample(runtime, started)
    }

    fn sample(self, runtime: Handle, started: Instant) -> DebugPort {
        let gauges: Arc<[Gauges]> = self.gauges.into();
        let sampler =
            self.config.charts.then(|| Sampler::new(self.sources, Arc::clone(&gauges), runtime.metrics(), started));
        let started_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let shared = Shared {
            name: self.name,
            version: self.version,
            boot: boot(started_at),
            started,
            started_at,
            metrics: self.metrics,
            runtime: runtime.metrics(),
            stack: self.stack,
            gauges,
            settings: self.settings,
            log: self.log,
            tasks: self.tasks,
            history: sampler.as_ref().map(Sampler::history),
        };
        #[cfg(feature = "pprof")]
        let profiles = Profiles::new();
        let routes = pages::routes(
            shared,
            self.config,
            #[cfg(feature = "pprof")]
            pprof::routes(profiles.clone()),
        );
        DebugPort {
            routes,
            sampler: sampler.map(|sampler| runtime.spawn(sampler.run())),
            #[cfg(feature = "pprof")]
            profiles,
        }
    }
}

/// Two starts of a program have different ones, so that a page notices that it talks to another process.
fn boot(started_at: Duration) -> String {
    format!("{:x}-{:x}", std::process::id(), started_at.as_nanos())
}

impl fmt::Debug for Debug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debug").field("name", &self.name).field("config", &self.config).finish_non_exhaustive()
    }
}

/// A debug port that takes figures until it is dropped. The pages go on with those that it has.
pub struct DebugPort {
    routes: axum::Router,
    sampler: Option<JoinHandle<()>>,
    #[cfg(feature = "pprof")]
    profiles: Profiles,
}

impl DebugPort {
    /// The pages below `/debug/`, for [`Server::admin`](crate::server::Server::admin).
    pub fn routes(&self) -> axum::Router {
        self.routes.clone()
    }

    /// Ends the task that takes figures, and waits until it is gone. A profile that is being recorded ends early, and is
    /// answered with what it has. Cancel-safe: both end all the same.
    pub async fn stop(mut self) {
        #[cfg(feature = "pprof")]
        self.profiles.stop();
        if let Some(sampler) = self.sampler.take() {
            sampler.abort();
            // It was stopped, which is how it ends.
            let _ = sampler.await;
        }
    }
}

impl Drop for DebugPort {
    fn drop(&mut self) {
        if let Some(sampler) = &self.sampler {
            sampler.abort();
        }
    }
}

impl fmt::Debug for DebugPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugPort").finish_non_exhaustive()
    }
}

/// The examples in `docs/` compile.
#[cfg(all(doctest, feature = "config", feature = "heap"))]
mod documents {
    #[doc = include_str!("../../../docs/debug.md")]
    struct DebugPort;

    #[doc = include_str!("../../../docs/profiles.md")]
    struct Profiles;
}
