use std::{
    cell::RefCell,
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    level::Level,
    queue::{Counts, Queue},
    style::Style,
};
use crate::Error;

/// How long a stop waits for a sink that hangs. A local disk has written the queue in a fraction of that.
const STOP: Duration = Duration::from_secs(5);

/// How long somebody who only drops the handle waits.
const DROP: Duration = Duration::from_secs(1);

/// What the layer and the handle share.
pub(super) struct Inner {
    pub(super) level: Arc<Level>,
    pub(super) sinks: Vec<(Style, Arc<Queue>)>,
}

impl Inner {
    /// Does it for every sink within one limit.
    fn each(&self, limit: Duration, act: impl Fn(&Queue, Duration) -> bool) -> bool {
        let end = Instant::now() + limit;
        let one = |queue: &Queue| act(queue, end.saturating_duration_since(Instant::now()));
        self.sinks.iter().fold(true, |all, (_, queue)| one(queue) && all)
    }

    fn flush(&self, limit: Duration) -> bool {
        self.each(limit, Queue::flush)
    }

    fn stop(&self, limit: Duration) -> bool {
        self.level.stop();
        self.each(limit, Queue::stop)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop(DROP);
    }
}

/// A running log: its level, its figures, its end. Clones are the same log.
///
/// Dropping the last clone writes what was logged by then (it waits at most a second) and changes nothing else: the log goes
/// on. Keep it in `main` until the end, or [`close`](Self::close) it there.
///
/// ```
/// use kit::telemetry::log::LogConfig;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// // For a subscriber of your own; a service calls `init`.
/// let (layer, log) = LogConfig::default().start()?;
/// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
///     log.set_level("error").unwrap();
///     tracing::info!("nobody reads this");
/// });
/// assert_eq!(log.figures().written, 0);
/// assert!(log.set_level("loud").unwrap_err().message().contains("loud"));
/// # Ok::<(), kit::Error>(())
/// ```
#[derive(Clone)]
pub struct Log(Arc<Handle>);

struct Handle(Arc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.flush(DROP);
    }
}

impl Log {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self(Arc::new(Handle(inner)))
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.0.0
    }

    /// What ends when nobody needs the log.
    #[cfg(all(test, feature = "metrics"))]
    pub(crate) fn threads(&self) -> std::sync::Weak<impl Sized + use<>> {
        Arc::downgrade(self.inner())
    }

    /// The level of now, as it was set: `info`, `info,kit::access=warn`.
    pub fn level(&self) -> String {
        self.inner().level.get()
    }

    /// Changes the level from the next line on, until it is changed again. Takes what the configuration takes.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that says what can't be read; the level stays as it was.
    pub fn set_level(&self, level: &str) -> Result<(), Error> {
        self.inner().level.set(level)
    }

    /// Changes the level for a time. Then it goes back to what [`set_level`](Self::set_level) set, or to the configured one.
    /// A later change takes the place of this one.
    ///
    /// # Errors
    /// As [`set_level`](Self::set_level), also for no time at all; `FAILED_PRECONDITION` outside of a Tokio runtime.
    pub fn set_level_for(&self, level: &str, time: Duration) -> Result<(), Error> {
        self.inner().level.set_for(level, time)
    }

    /// Goes back to the configured level.
    pub fn reset(&self) {
        self.inner().level.reset();
    }

    /// What happened to the lines so far, over all sinks: a line to stdout and to the file counts twice.
    pub fn figures(&self) -> LogFigures {
        LogFigures::sum(self.inner().sinks.iter().map(|(_, queue)| &*queue.counts))
    }

    /// Reads the figures without keeping the log.
    #[cfg(feature = "metrics")]
    pub(crate) fn reader(&self) -> impl Fn() -> LogFigures + Clone + Send + Sync + 'static {
        let counts: Vec<_> = self.inner().sinks.iter().map(|(_, queue)| Arc::clone(&queue.counts)).collect();
        move || LogFigures::sum(counts.iter().map(|counts| &**counts))
    }

    /// Waits until all that was logged before is written; at most five seconds, should a sink hang. Tells whether it is.
    ///
    /// Needs a Tokio runtime. Cancel-safe: the lines are written all the same.
    pub async fn flush(&self) -> bool {
        let inner = Arc::clone(self.inner());
        blocking(move || inner.flush(STOP)).await
    }

    /// Writes all that was logged and ends the threads; waits for that at most five seconds. Tells whether all is written.
    ///
    /// Lines that are logged after that are still written, by the one who logs them. Needs a Tokio runtime. Cancel-safe: the
    /// threads end all the same.
    pub async fn close(&self) -> bool {
        let inner = Arc::clone(self.inner());
        blocking(move || inner.stop(STOP)).await
    }
}

async fn blocking(wait: impl FnOnce() -> bool + Send + 'static) -> bool {
    tokio::task::spawn_blocking(wait).await.unwrap_or(false)
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level()).field("figures", &self.figures()).finish()
    }
}

/// What happened to log lines since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct LogFigures {
    /// Lines that were written.
    pub written: u64,
    /// Lines that were lost: the queue or the disk was full, nobody reads stdout any more.
    pub dropped: u64,
    /// How often writing failed.
    pub errors: u64,
}

impl LogFigures {
    fn sum<'a>(sinks: impl Iterator<Item = &'a Counts>) -> Self {
        sinks.fold(Self::default(), |sum, counts| Self {
            written: sum.written + counts.written.load(Ordering::Relaxed),
            dropped: sum.dropped + counts.dropped.load(Ordering::Relaxed),
            errors: sum.errors + counts.errors.load(Ordering::Relaxed),
        })
    }
}

/// Writes the last lines when its thread ends: a `main` that dropped its handle and returns with an error has just logged why.
pub(super) struct AtEnd(Arc<Inner>);

impl AtEnd {
    pub(super) fn of_this_thread(log: &Log) {
        thread_local! {
            static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
        }
        AT_END.set(Some(Self(Arc::clone(log.inner()))));
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.flush(DROP);
    }
}
