//! From bound ports to the last call.

use std::{fmt, future::Future, net::SocketAddr, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Health, ServeError, ServerConfig, admin::Admin, connection::Connections, health::Monitor, hook::Hook,
    listener::Listener, port::Protocols, runtime::Cores, signal::shutdown_signal,
};
use crate::task::Tasks;

/// What background tasks get at least, when the calls have used up the time: most need only be told.
const TASKS_LAST: Duration = Duration::from_secs(1);

/// How long the stop waits for the ports to close before it asks connections to end. A handler that blocks the thread of a core
/// keeps the port of that core open, and must not hold up the others.
const CLOSING: Duration = Duration::from_secs(1);

/// How long the figures of the debug port may take to end. A source of somebody's own that blocks its thread can't be stopped.
#[cfg(feature = "debug")]
const DEBUG_LAST: Duration = Duration::from_secs(1);

/// A server whose ports are bound: connections wait in their queues until it runs.
pub struct BoundServer {
    pub(super) config: ServerConfig,
    pub(super) listeners: Vec<Listener>,
    pub(super) cores: Option<Cores>,
    pub(super) admin: Admin,
    pub(super) monitor: Monitor,
    pub(super) draining: Vec<CancellationToken>,
    pub(super) tasks: Vec<Tasks>,
    pub(super) hooks: Vec<Hook>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::tls::Acceptor>,
    #[cfg(feature = "debug")]
    pub(super) debug: Option<crate::debug::DebugPort>,
}

impl BoundServer {
    /// The address of the first port for HTTP/JSON.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.addr(|protocols| protocols != Protocols::Grpc)
    }

    /// The address of the first port for gRPC.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.addr(|protocols| protocols != Protocols::Http)
    }

    /// The address of a port of [`Server::admin`](super::Server::admin); `None` when there is none of that name, or when it could
    /// not be bound.
    pub fn admin_addr(&self, name: &str) -> Option<SocketAddr> {
        self.admin.addr(name)
    }

    /// The health of the server, to be asked.
    pub fn health(&self) -> Health {
        self.monitor.health().clone()
    }

    fn addr(&self, fits: impl Fn(Protocols) -> bool) -> Option<SocketAddr> {
        self.listeners.iter().find(|listener| fits(listener.protocols())).map(Listener::local_addr)
    }

    /// Serves until `shutdown` is done, then stops without losing a call: see the [module](super). A signal that comes while it
    /// stops ends it at once.
    ///
    /// Not cancel-safe: dropping the future drops all connections at once.
    ///
    /// # Errors
    /// When a listener dies; the others are stopped as at a shutdown. When calls or background tasks had to be cut, with their
    /// number. A program should exit with another code than 0.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        // Heard from the beginning of the stop on, and not before: until then signals belong to whoever made `shutdown`.
        self.run_until(shutdown, async { shutdown_signal().await }).await
    }

    /// The same with something else than a second signal that ends the stop at once. It is polled from the beginning of the
    /// stop on.
    ///
    /// # Errors
    /// As [`BoundServer::run`].
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let Self {
            config,
            listeners,
            mut cores,
            admin,
            monitor,
            draining,
            tasks,
            hooks,
            #[cfg(feature = "tls")]
            tls,
            #[cfg(feature = "debug")]
            debug,
        } = self;
        let connections = Connections::new(&config);
        // Dropping this future ends what it has spawned.
        let _guard = connections.guard();
        let admin = admin.serve(&config);
        // Until this future is done or dropped.
        #[cfg(feature = "tls")]
        let _renewing = tls.map(|tls| tokio_util::task::AbortOnDropHandle::new(tokio::spawn(tls.renew())));
        let mut monitoring = monitor.start().await;
        let (mut accepting, closing) = (JoinSet::new(), CancellationToken::new());
        for listener in listeners {
            tracing::info!(address = %listener.local_addr(), protocols = listener.protocols().name(), "listening");
            for (index, queue) in listener.queues().enumerate() {
                let (connections, closing) = (connections.clone(), closing.clone());
                let (core, place) = cores.as_ref().map(|cores| cores.place(index)).unzip();
                let accept = queue.accept(connections, closing, place);
                match core.flatten() {
                    Some(core) => accepting.spawn_on(accept, core),
                    None => accepting.spawn(accept),
                };
            }
        }
        let core_died = async {
            match &mut cores {
                Some(cores) => cores.died().await,
                None => std::future::pending().await,
            }
        };
        let died = tokio::select! {
            biased;
            error = core_died => Some(error),
            () = shutdown => None,
            Some(ended) = accepting.join_next() => ended.unwrap_or_else(|e| Err(ServeError::listener_task(e))).err(),
        };
        if let Some(error) = &died {
            tracing::error!(%error, "stopping");
        }

        let at_once = async {
            at_once.await;
            tracing::warn!("the stop is ended at once");
        };
        // Asked by one phase of the stop after the other.
        let at_once = at_once.shared();
        // A signal that comes from here on is heard, whatever is waited for.
        let _ = at_once.clone().now_or_never();
        tokio::select! {
            biased;
            () = monitoring.leave() => {}
            () = at_once.clone() => {}
        }
        connections.leave();
        // Without one of its ports the service is no use to anybody: nobody is asked to turn away first.
        if died.is_none() {
            tokio::select! {
                () = sleep(config.shutdown_delay) => {}
                () = at_once.clone() => {}
            }
        }
        closing.cancel();
        tokio::select! {
            () = async { while accepting.join_next().await.is_some() {} } => {}
            () = at_once.clone() => {}
            // Whoever drains waits for them, too.
            () = sleep(CLOSING) => tracing::warn!("the ports are slow to close: a handler blocks its thread, or many connect"),
        }
        monitoring.end_watches().await;
        draining.iter().for_each(CancellationToken::cancel);
        let started = Instant::now();
        let calls = connections.drain(config.drain_timeout, at_once.clone()).await;
        if calls > 0 {
            tracing::warn!(calls, "calls are cut");
        }
        let mut cut_tasks = 0;
        for tasks in &tasks {
            let patience = config.drain_timeout.saturating_sub(started.elapsed()).max(TASKS_LAST);
            cut_tasks += tokio::select! {
                biased;
                () = at_once.clone() => tasks.close(Duration::ZERO).await,
                cut = tasks.close(patience) => cut,
            };
        }
        // Charts end with the last call, and with them what streams them; a profile that runs ends early.
        #[cfg(feature = "debug")]
        if let Some(debug) = debug {
            tokio::select! {
                biased;
                () = at_once.clone() => {}
                _ = tokio::time::timeout(DEBUG_LAST, debug.stop()) => {}
            }
        }
        admin.close(at_once.clone()).await;
        for hook in hooks {
            tokio::select! {
                biased;
                () = at_once.clone() => {}
                () = hook.run() => {}
            }
        }
        // Last: what handlers and hooks use, connections to a database, say, may live on the threads of the cores.
        if let Some(cores) = cores {
            tokio::select! {
                biased;
                () = cores.end() => {}
                () = at_once.clone() => {}
            }
        }
        match (died, calls, cut_tasks) {
            (None, 0, 0) => Ok(()),
            (died, calls, tasks) => Err(ServeError::cut(died, calls, tasks)),
        }
    }
}

impl fmt::Debug for BoundServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundServer").field("health", self.monitor.health()).finish_non_exhaustive()
    }
}
