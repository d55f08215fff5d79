use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::{ErrorReporter, Failure, ReportConfig};
use crate::{Error, mask::Mask, validate::Validate as _};

/// How long a stop waits for a reporter that hangs, as long as for the log.
const STOP: Duration = Duration::from_secs(5);

/// The way of errors to a reporter. Clones share it. When the last is dropped, or by [`close`](Self::close), what waits is
/// still reported and the thread ends.
#[derive(Clone)]
pub struct ErrorReports(Arc<Inner>);

struct Inner {
    // Locked for a moment, and only when a call has failed.
    sender: Mutex<Option<mpsc::Sender<Failure>>>,
    ended: watch::Receiver<()>,
    counts: Arc<Counts>,
    per_minute: u32,
    max_body: usize,
}

#[derive(Default)]
struct Counts {
    reported: AtomicU64,
    dropped: AtomicU64,
    limited: AtomicU64,
    panicked: AtomicU64,
}

impl Counts {
    fn read(&self) -> ReportFigures {
        ReportFigures {
            reported: self.reported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            limited: self.limited.load(Ordering::Relaxed),
            panicked: self.panicked.load(Ordering::Relaxed),
        }
    }
}

/// What happened to error reports since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ReportFigures {
    /// Reports that were handed to the reporter. One that sends them elsewhere may have lost them.
    pub reported: u64,
    /// Errors that were not reported because the queue was full or closed.
    pub dropped: u64,
    /// Errors that were not reported because their method had its share of the minute.
    pub limited: u64,
    /// Reports in which the reporter panicked.
    pub panicked: u64,
}

impl ErrorReports {
    /// Starts the thread of a reporter.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the settings can't be used, `RESOURCE_EXHAUSTED` when there can be no more threads.
    pub fn start(config: &ReportConfig, reporter: impl ErrorReporter) -> Result<Self, Error> {
        config.check("report")?;
        let (sender, receiver) = mpsc::channel(config.queue);
        let (ending, ended) = watch::channel(());
        let counts = Arc::new(Counts::default());
        let max_body = usize::try_from(config.max_body).unwrap_or(usize::MAX);
        let worker = Worker { reporter, mask: Mask::with_names(&config.mask), max_body, counts: Arc::clone(&counts) };
        thread::Builder::new()
            .name("kit-report".to_owned())
            .spawn(move || {
                worker.run(receiver);
                drop(ending);
            })
            .map_err(|e| Error::resource_exhausted("error reports can't have a thread").with_source(e))?;
        let inner = Inner { sender: Mutex::new(Some(sender)), ended, counts, per_minute: config.per_minute, max_body };
        Ok(Self(Arc::new(inner)))
    }

    /// What happened so far.
    pub fn figures(&self) -> ReportFigures {
        self.0.counts.read()
    }

    /// Reads the figures without keeping the reporter.
    #[cfg(feature = "metrics")]
    pub(crate) fn reader(&self) -> impl Fn() -> ReportFigures + Clone + Send + Sync + 'static {
        let counts = Arc::clone(&self.0.counts);
        move || counts.read()
    }

    /// Takes no more errors, waits until those that wait are reported and the thread has ended; at most five seconds, should
    /// the reporter hang. Tells whether all is reported.
    ///
    /// Cancel-safe: what waits is reported all the same.
    pub async fn close(&self) -> bool {
        drop(self.0.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        tokio::time::timeout(STOP, self.ended()).await.is_ok()
    }

    /// Waits until the thread has ended, without keeping it.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.0.ended.clone();
        // The sender of this channel says nothing; it is dropped when the thread is done.
        async move { while ended.changed().await.is_ok() {} }
    }

    pub(crate) fn send(&self, failure: Failure) {
        let sender = self.0.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_none_or(|sender| sender.try_send(failure).is_err()) {
            self.0.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_limited(&self) {
        self.0.counts.limited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn per_minute(&self) -> u32 {
        self.0.per_minute
    }

    pub(crate) fn max_body(&self) -> usize {
        self.0.max_body
    }
}

impl fmt::Debug for ErrorReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorReports").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

struct Worker<R> {
    reporter: R,
    mask: Mask,
    max_body: usize,
    counts: Arc<Counts>,
}

impl<R: ErrorReporter> Worker<R> {
    fn run(&self, mut failures: mpsc::Receiver<Failure>) {
        while let Some(failure) = failures.blocking_recv() {
            // What panicked is the reporter's or the message's own code; neither is left half changed by what follows.
            let told = catch_unwind(AssertUnwindSafe(|| {
                self.reporter.report(failure.report(&self.mask, self.max_body));
            }));
            let count = if told.is_ok() { &self.counts.reported } else { &self.counts.panicked };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
