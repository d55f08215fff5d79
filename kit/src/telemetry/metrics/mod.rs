//! Figures of a service for Prometheus, and for the charts of the debug port.
//!
//! Each service has [`Metrics`] of its own and hands it to whoever counts: there is no registry that all share, so two services
//! in one process don't mix. Calls are counted by a layer ([`layer::metrics`](crate::layer::metrics)); what others know is
//! asked for when somebody reads ([`Metrics::gauge_fn`]); and what is registered with [`Metrics::register`] are the types of
//! the crate `prometheus-client`.
//!
//! ```
//! use kit::telemetry::metrics::{Format, Metrics};
//! use prometheus_client::metrics::counter::Counter;
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
//!
//! let metrics = Metrics::new();
//!
//! // A counter of your own. `prometheus-client` adds `_total` to its name.
//! let sold: Counter = Counter::default();
//! metrics.register(|registry| registry.register("books_sold", "Books that were sold", sold.clone()));
//! sold.inc();
//!
//! // Something that is known already: read when Prometheus asks.
//! let waiting = Arc::new(AtomicU64::new(3));
//! let read = Arc::clone(&waiting);
//! metrics.gauge_fn("books_waiting", "Orders in the queue.", &[], move || read.load(Ordering::Relaxed) as f64)?;
//!
//! let text = String::from_utf8(metrics.encode(Format::Text)?)?;
//! assert!(text.contains("books_sold_total 1\n") && text.contains("books_waiting 3\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/metrics.md` lists what the kit counts by itself.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};

mod buckets;
mod config;
mod durations;
mod exposition;
mod function;
mod histogram;
mod method;
mod name;
mod process;
mod runtime;

use buckets::{Layout, Quantity};
pub use config::MetricsConfig;
pub use durations::Durations;
pub use exposition::Format;
use function::{Functions, Kind};
pub use histogram::DurationHistogram;
pub(crate) use method::MethodSeries;
pub use method::{MethodFigures, Side};
pub use process::ProcessFigures;

use crate::{Error, Method, validate::Validate as _};

/// All figures of one service. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    durations: Arc<Layout>,
    sizes: Arc<Layout>,
    ours: Arc<Ours>,
    // Never changed: it shows `ours` to the encoder.
    collector: Registry,
    // Locked when something is registered and when somebody reads all; never while a call is counted.
    registry: Mutex<Registry>,
}

/// What the kit counts itself.
#[derive(Debug, Default)]
struct Ours {
    // Written when endpoints are put together, read when somebody reads; a call has its series in its layer.
    methods: RwLock<Vec<Arc<MethodSeries>>>,
    functions: Functions,
}

impl Ours {
    fn methods(&self) -> Vec<Arc<MethodSeries>> {
        self.methods.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Collector for Ours {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let methods = self.methods();
        method::encode(Side::Server, &methods, &mut encoder)?;
        method::encode(Side::Client, &methods, &mut encoder)?;
        self.functions.encode(&mut encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::build(&MetricsConfig::default())
    }
}

impl Metrics {
    /// No figures yet, with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// No figures yet.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn with_config(config: &MetricsConfig) -> Result<Self, Error> {
        config.check("metrics")?;
        Ok(Self::build(config))
    }

    fn build(config: &MetricsConfig) -> Self {
        let layout = |quantity, bounds: &[f64]| Arc::new(Layout::new(quantity, bounds, config.schema()));
        let ours = Arc::<Ours>::default();
        let mut collector = Registry::default();
        collector.register_collector(Box::new(Arc::clone(&ours)));
        Self(Arc::new(Inner {
            durations: layout(Quantity::Duration, &config.buckets),
            sizes: layout(Quantity::Size, &config.size_buckets),
            ours,
            collector,
            registry: Mutex::default(),
        }))
    }

    /// Registers figures of your own, of the types of `prometheus-client`. What Prometheus could not read (names with other
    /// characters than letters, digits and `_`) is left out when it is read, and logged.
    ///
    /// `register` must not call this again, nor may a collector that it registers.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.0.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds a number that goes up and down and is asked for when somebody reads: the length of a queue, the state of a breaker.
    /// The kit's own have names like `kit_<layer>_...`.
    ///
    /// Each name with its labels is one series; adding it again replaces the function, so that a layer that is built anew takes
    /// its place. There may be 10 000. `read` must not wait: it is called while a scraper waits, by a thread that runs tasks.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when Prometheus could not read the name or a label, when the name is there as a counter, or when
    /// there are too many.
    pub fn gauge_fn(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), Error> {
        self.0.ours.functions.add(Kind::Gauge, name, help, labels, Arc::new(read))
    }

    /// The same for a number that only grows while the process runs. Its name ends with `_total`, given or not.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn counter_fn(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), Error> {
        self.0.ours.functions.add(Kind::Counter, name, help, labels, Arc::new(read))
    }

    /// A histogram of times with the buckets of this service, to be registered with [`Metrics::register`].
    ///
    /// ```
    /// use kit::telemetry::metrics::Metrics;
    /// use std::time::Duration;
    ///
    /// let metrics = Metrics::new();
    /// let packing = metrics.durations();
    /// metrics.register(|registry| registry.register("packing_seconds", "How long packing took", packing.clone()));
    /// packing.observe(Duration::from_millis(30));
    /// ```
    pub fn durations(&self) -> DurationHistogram {
        DurationHistogram::new(&self.0.durations)
    }

    /// The figures of every method that was called or is served, for charts.
    pub fn methods(&self) -> Vec<MethodFigures> {
        self.0.ours.methods().iter().map(|series| series.figures()).collect()
    }

    /// The series of a method: the same for all who ask.
    pub(crate) fn series(&self, side: Side, method: &Method) -> Arc<MethodSeries> {
        let mut methods = self.0.ours.methods.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = methods.iter().find(|series| series.is(side, method)) {
            return Arc::clone(series);
        }
        let series = Arc::new(MethodSeries::new(side, method, &self.0.durations, &self.0.sizes));
        methods.push(Arc::clone(&series));
        series
    }

    /// Writes all figures, families in the order of their names. What is cheap to count is dear to read: about a microsecond
    /// a series.
    ///
    /// # Errors
    /// `INTERNAL` when a collector of yours fails.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, Error> {
        exposition::encode([&self.0.collector as &dyn exposition::Encode, &self.0.registry], format)
    }

    /// `GET /metrics`, for [`Server::admin`](crate::server::Server::admin): in the format that the scraper asks for by `Accept`,
    /// compressed when it takes gzip. Answers that nobody reads are dropped when 32 newer ones were asked for, so scrapers that
    /// never read hold a bounded amount of memory.
    #[cfg(feature = "server")]
    pub fn routes(&self) -> axum::Router {
        exposition::routes(self.clone())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
