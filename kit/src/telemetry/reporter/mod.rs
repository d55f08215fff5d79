//! Sends finished spans to a collector, in the background: nothing that the collector does, or does not do, reaches a call.
//!
//! A span goes into a queue that is bounded by count and by bytes, and is dropped and counted when that is full; one that begins while
//! it is full is not recorded in the first place. One task
//! takes them out in batches, writes them in the format of the collector, compresses, sends, and tries again with growing
//! pauses when the collector can't be reached or is overloaded. What is lost is counted ([`ReporterFigures`]) and logged once
//! when the loss begins and once when it ends.
//!
//! ```
//! use std::time::Duration;
//! use kit::{telemetry::reporter::{Reporter, ReporterConfig}, trace::{TraceConfig, Tracer}};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! // With the defaults spans go nowhere; `to: zipkin` sends them to http://127.0.0.1:9411.
//! let reporter = Reporter::start(&ReporterConfig::default())?;
//! let tracer = Tracer::builder(&TraceConfig::default(), "shop").export(reporter.exporter()).build();
//! // ... serve ...
//! let figures = reporter.shutdown(Duration::from_secs(3)).await;
//! assert_eq!(figures.dropped, 0);
//! # drop(tracer);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    Error,
    trace::{Export, FinishedSpan},
    validate::Validate as _,
};

mod config;
mod post;
mod worker;

pub use config::{Destination, ReporterConfig};

/// Writes batches of spans in the format of a collector.
pub(crate) trait Encode: Send + Sync + 'static {
    /// What stands behind the address of the collector.
    const PATH: &'static str;
    /// What the body is.
    const CONTENT_TYPE: &'static str;
    /// Whether server and client share the span of a call.
    const JOINS: bool;

    /// Whether a batch that was answered with this status may be sent again.
    fn is_retryable(status: StatusCode) -> bool {
        status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
    }

    /// A batch as a body.
    fn encode(&self, spans: &[FinishedSpan]) -> Vec<u8>;

    /// How many spans of a batch the collector refused, by its answer to it.
    fn refused(&self, answer: &[u8]) -> u64 {
        let _ = answer;
        0
    }
}

/// Sends spans while it lives. One may serve several tracers.
#[derive(Debug)]
pub struct Reporter {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    exporter: Exporter,
    stop: oneshot::Sender<()>,
    task: Aborted,
}

/// A task that does not outlive its owner.
#[derive(Debug)]
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Hands spans to a [`Reporter`]: what a [`TracerBuilder`](crate::trace::TracerBuilder) takes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exporter {
    queue: mpsc::Sender<FinishedSpan>,
    counters: Arc<Counters>,
    joins: bool,
}

#[derive(Debug, Default)]
struct Counters {
    /// Bytes that may wait.
    most_bytes: usize,
    bytes: AtomicUsize,
    /// A span was refused, and none was taken out since.
    full: AtomicBool,
    /// Spans that came into the queue, and those that found it full.
    accepted: AtomicU64,
    refused: AtomicU64,
    /// What became of those that came in.
    sent: AtomicU64,
    lost: AtomicU64,
    failed_batches: AtomicU64,
}

/// What a reporter has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReporterFigures {
    /// Spans that the collector took.
    pub sent: u64,
    /// Spans that were lost: the queue was full, the collector refused them, or could not be reached often enough.
    pub dropped: u64,
    /// Batches that were given up.
    pub failed_batches: u64,
    /// Spans that wait or are on their way.
    pub queued: u64,
}

impl Counters {
    fn figures(&self) -> ReporterFigures {
        let (sent, lost) = (self.sent.load(Ordering::Acquire), self.lost.load(Ordering::Acquire));
        ReporterFigures {
            sent,
            dropped: lost + self.refused.load(Ordering::Acquire),
            failed_batches: self.failed_batches.load(Ordering::Acquire),
            // Read last: what moves meanwhile counts as waiting.
            queued: self.accepted.load(Ordering::Acquire).saturating_sub(sent + lost),
        }
    }

    fn dropped(&self) -> u64 {
        self.lost.load(Ordering::Acquire) + self.refused.load(Ordering::Acquire)
    }
}

impl Export for Exporter {
    fn export(&self, span: FinishedSpan) {
        let counters = &*self.counters;
        let size = span.size();
        let waiting = counters.bytes.fetch_add(size, Ordering::AcqRel);
        // Counted before it is in the queue, or the worker could be done with it first.
        counters.accepted.fetch_add(1, Ordering::AcqRel);
        if waiting.saturating_add(size) > counters.most_bytes || self.queue.try_send(span).is_err() {
            counters.bytes.fetch_sub(size, Ordering::AcqRel);
            counters.accepted.fetch_sub(1, Ordering::AcqRel);
            counters.refused.fetch_add(1, Ordering::AcqRel);
            counters.full.store(true, Ordering::Relaxed);
        }
    }

    fn admit(&self) -> bool {
        let full = self.counters.full.load(Ordering::Relaxed);
        if full {
            self.counters.refused.fetch_add(1, Ordering::AcqRel);
        }
        !full
    }

    fn joins(&self) -> bool {
        self.joins
    }
}

impl Reporter {
    /// Starts to send to the collector of the settings. To be called inside a Tokio runtime. With [`Destination::None`]
    /// nothing is started. That the collector can't be reached is no error here.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the settings can't be used; the message names the setting.
    pub fn start(config: &ReporterConfig) -> Result<Self, Error> {
        config.check("spans")?;
        match config.to {
            Destination::None => Ok(Self { running: None }),
            #[cfg(feature = "zipkin")]
            Destination::Zipkin => Self::with(config, super::zipkin::Zipkin),
            #[cfg(feature = "otlp")]
            Destination::Otlp => Self::with(config, super::otlp::Otlp),
            #[cfg(not(all(feature = "zipkin", feature = "otlp")))]
            _ => Err(Error::invalid_argument("to names a collector whose feature is not compiled in")),
        }
    }

    fn with<E: Encode>(config: &ReporterConfig, encode: E) -> Result<Self, Error> {
        let post = post::HttpPost::new::<E>(config)?;
        Ok(Self::run(config, encode, post))
    }

    fn run<E: Encode>(config: &ReporterConfig, encode: E, post: impl post::Post) -> Self {
        let (queue, spans) = mpsc::channel(config.queue.min(tokio::sync::Semaphore::MAX_PERMITS));
        let (stop, stopped) = oneshot::channel();
        let counters = Arc::new(Counters { most_bytes: config.queue_bytes, ..Counters::default() });
        let exporter = Exporter { queue, counters: Arc::clone(&counters), joins: E::JOINS };
        let task = tokio::spawn(worker::Worker::new(config, encode, post, spans, stopped, counters).run());
        Self { running: Some(Running { exporter, stop, task: Aborted(task) }) }
    }

    /// What tracers hand their spans to; `None` when spans go nowhere.
    pub fn exporter(&self) -> Option<Exporter> {
        self.running.as_ref().map(|running| running.exporter.clone())
    }

    /// What was counted since the start.
    pub fn figures(&self) -> ReporterFigures {
        self.running.as_ref().map_or_else(ReporterFigures::default, |running| running.exporter.figures())
    }

    /// Sends what waits, for as long as `timeout`, and ends. To be called after the last call; what comes later is dropped.
    /// A collector that answers nothing is not waited for longer, and one that can't be reached costs one more attempt.
    ///
    /// # Cancel safety
    /// Dropping the future ends the reporter at once.
    pub async fn shutdown(self, timeout: Duration) -> ReporterFigures {
        let Some(Running { exporter, stop, mut task }) = self.running else { return ReporterFigures::default() };
        // An error says that the task has ended already.
        let _ = stop.send(());
        if tokio::time::timeout(timeout, &mut task.0).await.is_err() {
            task.0.abort();
            // An aborted task ends at its next await, and it has no long way to one.
            let _ = (&mut task.0).await;
        }
        let counters = &*exporter.counters;
        let figures = counters.figures();
        if figures.queued > 0 {
            counters.lost.fetch_add(figures.queued, Ordering::AcqRel);
            tracing::warn!(lost = figures.queued, ?timeout, "spans were not sent in the time that a stop has");
        }
        counters.figures()
    }
}

impl Exporter {
    /// What was counted since the start, for whoever registers metrics and does not own the [`Reporter`].
    pub fn figures(&self) -> ReporterFigures {
        self.counters.figures()
    }

    /// Reads the figures without keeping the queue.
    #[cfg(feature = "metrics")]
    pub(crate) fn reader(&self) -> impl Fn() -> ReporterFigures + Clone + Send + Sync + 'static {
        let counters = Arc::clone(&self.counters);
        move || counters.figures()
    }
}

#[cfg(test)]
#[cfg(all(feature = "zipkin", feature = "log"))]
mod tests;
