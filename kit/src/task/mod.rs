//! Background tasks that a stop waits for.
//!
//! A task that a handler starts with `tokio::spawn` outlives the call, and nobody knows of it: a stop drops it half done, its
//! log lines belong to no request, and its panic is seen by nobody. [`Tasks`] knows its tasks: they carry the ids of the call
//! that started them, a panic in one is logged, counted and harmless to the others, there is a bound to how many run, and
//! [`Server::tasks`](crate::server::Server::tasks) makes the stop wait for them.
//!
//! ```
//! use kit::{Context, task::Tasks};
//! use std::time::Duration;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let tasks = Tasks::new();
//! // In a handler, `cx` is the context of the call.
//! let cx = Context::background();
//! tasks.spawn("send the mail", &cx, async { tracing::info!("sent") })?;
//! // One that runs for as long as the service does.
//! tasks.spawn_until_stopped("sweep", |stop| async move {
//!     while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(60))).await.is_some() {
//!         // sweep
//!     }
//! })?;
//!
//! // What the server does at its stop.
//! assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
//! assert!(tasks.spawn("too late", &cx, async {}).is_err());
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod figures;
#[cfg(feature = "metrics")]
mod metrics;
mod running;
#[cfg(test)]
mod tests;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use config::TasksConfig;
use figures::Figures;
pub use figures::TaskFigures;
use running::Running;

use crate::{
    Context, Error,
    endpoint::current::{self, Ids},
};

/// How long a task that was cut may take to be dropped. One that blocks its thread can't be dropped at all.
const LAST: Duration = Duration::from_secs(1);

/// The background tasks of a service. Clones share them; with the last clone, what still runs is cut.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
    _cut_at_drop: Arc<DropGuard>,
}

struct Shared {
    limit: u64,
    tracker: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
    // Shared with what shows them, which must not keep tasks running.
    figures: Arc<Figures>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// Tasks with the default settings.
    pub fn new() -> Self {
        Self::with_config(&TasksConfig::default())
    }

    /// Tasks with settings.
    pub fn with_config(config: &TasksConfig) -> Self {
        crate::layer::recover::install();
        let cut = CancellationToken::new();
        let guard = Arc::new(cut.clone().drop_guard());
        let shared = Shared {
            limit: config.max_running,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut,
            figures: Arc::default(),
        };
        Self { shared: Arc::new(shared), _cut_at_drop: guard }
    }

    /// Starts a task that belongs to a call: `ids` are those of its context, `&cx`, or what
    /// [`current::get`] tells. Its log lines have them. To be called inside a Tokio runtime.
    ///
    /// `name` says what the task does, in log lines and figures; tasks of one kind share a name.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when as many tasks run as [`TasksConfig::max_running`] says; `UNAVAILABLE` after
    /// [`Tasks::close`]. Both are counted, and the future is dropped.
    pub fn spawn<F>(&self, name: &'static str, ids: impl Into<Ids>, task: F) -> Result<(), Error>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = &self.shared;
        let figures = shared.figures.of(name);
        // From here on a close waits for this task; one that was before is seen below. Kept until the task counts itself.
        let _held = shared.tracker.token();
        if shared.tracker.is_closed() {
            figures.refused();
            return Err(Error::unavailable("the service stops: call again").with_log(format!("no new task {name:?}")));
        }
        let Some(count) = figures.start(&shared.figures, shared.limit) else {
            figures.refused();
            return Err(Error::resource_exhausted("the service has too much to do: call again later")
                .with_log(format!("the limit of {} background tasks is reached: no new task {name:?}", shared.limit)));
        };
        let running = Running::new(name, task, count);
        let cut = shared.cut.clone();
        shared.tracker.spawn(current::scope(ids.into(), async move {
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = running => {}
            }
        }));
        Ok(())
    }

    /// Starts a task that runs until the service stops: it gets a token that is cancelled then, and is to end soon after. It
    /// belongs to no call. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// As [`Tasks::spawn`].
    pub fn spawn_until_stopped<F, Fut>(&self, name: &'static str, task: F) -> Result<(), Error>
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.spawn(name, &Context::background(), task(self.shared.stop.clone()))
    }

    /// Takes no more tasks, tells those that run until the stop to end, and waits for all of them; what is left after
    /// `patience` is cut. Returns how many that were.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait: the tasks run on, and no new ones are taken. It may be called again.
    pub async fn close(&self, patience: Duration) -> u64 {
        let shared = &self.shared;
        shared.tracker.close();
        shared.stop.cancel();
        if timeout(patience, shared.tracker.wait()).await.is_ok() {
            return 0;
        }
        let cut: Vec<TaskFigures> = self.figures().into_iter().filter(|figures| figures.running > 0).collect();
        for task in &cut {
            tracing::warn!(task = task.name, running = task.running, ?patience, "background tasks are cut");
        }
        shared.cut.cancel();
        let _ = timeout(LAST, shared.tracker.wait()).await;
        cut.iter().map(|figures| figures.running).sum()
    }

    /// How many tasks run.
    pub fn running(&self) -> u64 {
        self.shared.figures.running()
    }

    /// The figures of all tasks so far, by name.
    pub fn figures(&self) -> Vec<TaskFigures> {
        self.shared.figures.all()
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.running()).finish_non_exhaustive()
    }
}
