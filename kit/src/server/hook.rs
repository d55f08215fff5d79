//! What is done after the last call: flushing, closing.

use std::{fmt, future::Future, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::timeout;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One thing to do at the stop.
pub(super) struct Hook {
    name: &'static str,
    limit: Duration,
    run: Box<dyn FnOnce() -> BoxFuture + Send>,
}

impl Hook {
    pub(super) fn new<F, Fut>(name: &'static str, run: F, limit: Duration) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self { name, limit, run: Box::new(|| Box::pin(run())) }
    }

    /// Does it. That it fails or takes too long is logged, and keeps no other from being done.
    pub(super) async fn run(self) {
        let Self { name, limit, run } = self;
        match timeout(limit, AssertUnwindSafe(async { run().await }).catch_unwind()).await {
            Ok(Ok(())) => tracing::debug!(hook = name, "done at the stop"),
            // The panic hook of the process has told what it was.
            Ok(Err(_)) => tracing::error!(hook = name, "what was to be done at the stop panicked"),
            Err(_) => tracing::error!(hook = name, ?limit, "what was to be done at the stop took too long"),
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
