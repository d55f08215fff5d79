//! The threads of the cores: started with the ports, joined at the end of the stop.

use std::{future::Future, io, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    config::CoresConfig,
    crew::{Crew, Place},
    pin,
};
use crate::server::ServeError;

/// How long what handlers have left to a core's threads for blocking work may take when all else is done.
const LAST: Duration = Duration::from_secs(1);

/// One thread for each core, with a runtime of its own. They end when this is dropped, if [`Cores::end`] has not waited for them.
pub(in crate::server) struct Cores {
    threads: Vec<Core>,
    crew: Crew,
    own_listeners: bool,
    ended: CancellationToken,
    _guard: DropGuard,
}

struct Core {
    thread: thread::JoinHandle<()>,
    /// Fails when the thread ends, whatever it ends of.
    alive: oneshot::Receiver<()>,
}

impl Cores {
    /// Starts the threads, which wait for work.
    ///
    /// # Errors
    /// When the system does not give so many threads, or files.
    pub(in crate::server) fn start(config: &CoresConfig) -> Result<Self, ServeError> {
        Self::start_with(config, |_, ended| ended.cancelled_owned())
    }

    /// The same with threads that run until `until` is done.
    pub(in crate::server) fn start_with<Fut: Future<Output = ()> + Send + 'static>(
        config: &CoresConfig,
        until: impl Fn(usize, CancellationToken) -> Fut,
    ) -> Result<Self, ServeError> {
        let ended = CancellationToken::new();
        // Made first: those that were started end when one can't be.
        let guard = ended.clone().drop_guard();
        let pins = pins(config);
        let (mut threads, mut handles) = (Vec::new(), Vec::new());
        for index in 0..config.number() {
            let until = until(index, ended.clone());
            let pin = pins.get(index % pins.len().max(1)).copied();
            let (core, handle) =
                Core::start(index, pin, until).map_err(|error| ServeError::core_start(index, error))?;
            threads.push(core);
            handles.push(handle);
        }
        let (crew, own_listeners) = (Crew::new(handles), config.own_listeners());
        Ok(Self { threads, crew, own_listeners, ended, _guard: guard })
    }

    /// Where the accept loop of a port's socket runs, and what it must know: on the core of that number, or, where there is one
    /// socket for all, on none of them.
    pub(in crate::server) fn place(&self, socket: usize) -> (Option<&Handle>, Place) {
        let core = self.own_listeners.then_some(socket);
        (core.and_then(|core| self.crew.handle(core)), self.crew.place(core))
    }

    /// Adds how many connections each core has to the figures of the service.
    #[cfg(feature = "metrics")]
    pub(in crate::server) fn observe(&self, metrics: &crate::telemetry::metrics::Metrics) -> Result<(), crate::Error> {
        for core in 0..self.threads.len() {
            let crew = self.crew.clone();
            let (help, label) = ("Connections that the thread of a core serves.", core.to_string());
            metrics
                .gauge_fn("kit_server_core_connections", help, &[("core", &label)], move || crew.load(core) as f64)?;
        }
        Ok(())
    }

    /// Waits until a thread ends, which none does by itself: something in it has panicked that no task catches.
    ///
    /// Cancel-safe.
    pub(in crate::server) async fn died(&mut self) -> ServeError {
        let alive = self.threads.iter_mut().enumerate().map(|(index, core)| {
            Box::pin(async move {
                let _ = (&mut core.alive).await;
                index
            })
        });
        let (index, ..) = futures_util::future::select_all(alive).await;
        ServeError::core_died(index)
    }

    /// Ends the threads and waits for them: to be called when what the program still does needs them no longer, because
    /// connections to databases and the like belong to the thread that made them. One that a handler blocks is not waited for.
    pub(in crate::server) async fn end(self) {
        self.ended.cancel();
        // Twice: blocking work has the first half of it.
        let deadline = Instant::now() + 2 * LAST;
        for (index, mut core) in self.threads.into_iter().enumerate() {
            if !core.alive.is_terminated() && timeout_at(deadline, &mut core.alive).await.is_err() {
                tracing::error!(core = index, "a handler blocks the thread of a core: the end does not wait for it");
                continue;
            }
            // It has nothing left to do.
            let _ = core.thread.join();
        }
    }
}

impl Core {
    fn start(
        index: usize,
        pin: Option<usize>,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<(Self, Handle)> {
        let name = format!("kit-core-{index}");
        let runtime = Builder::new_current_thread().enable_all().thread_name(format!("kit-work-{index}")).build()?;
        let handle = runtime.handle().clone();
        let (sender, alive) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(name).spawn(move || {
            // In this order: in a panic the news of it comes before the end of the tasks.
            let runtime = runtime;
            let _alive = sender;
            if let Some(Err(error)) = pin.map(pin::pin) {
                tracing::warn!(%error, core = index, "a thread could not be kept on its core");
            }
            runtime.block_on(until);
            runtime.shutdown_timeout(LAST);
        })?;
        Ok((Self { thread, alive }, handle))
    }
}

/// The cores that threads are kept on, one after the other; none when they may run anywhere.
fn pins(config: &CoresConfig) -> Vec<usize> {
    if !config.pin {
        return Vec::new();
    }
    pin::cores().unwrap_or_else(|error| {
        tracing::warn!(%error, "threads are not kept on cores");
        Vec::new()
    })
}
