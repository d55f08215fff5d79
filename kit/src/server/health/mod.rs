//! Whether the process is ready, and each service serving: by what checks found last.

mod check;
mod config;
mod probes;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use check::Checked;
pub use check::{Check, CheckReport, CheckState};
pub use config::HealthConfig;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::sleep,
};
use tonic_health::{ServingStatus, server::HealthReporter};

/// The health of a server, to be asked. Clones ask the same server.
///
/// It answers from what the checks found last, so that any number of probes costs no more than one.
///
/// ```
/// use kit::server::Server;
///
/// let server = Server::new();
/// // Probes on a port of their own, beside whatever else is there.
/// let routes = server.health().routes();
/// let server = server.admin("probes", "127.0.0.1:0", routes);
/// assert!(!server.health().is_ready());
/// ```
#[derive(Clone, Default)]
pub struct Health(Arc<State>);

#[derive(Default)]
struct State {
    phase: AtomicU8,
    checks: OnceLock<Vec<Arc<Checked>>>,
    /// What those who wait for it have been told.
    ready: watch::Sender<bool>,
}

/// Not served yet; the default.
const STARTING: u8 = 0;
const SERVING: u8 = 1;
const STOPPING: u8 = 2;

impl Health {
    /// Whether the process should be sent calls: it serves, is not about to stop, and all critical checks pass.
    pub fn is_ready(&self) -> bool {
        self.allows(None)
    }

    /// Whether a service, `package.Service`, should be sent calls: what gRPC health tells of it.
    pub fn is_serving(&self, service: &str) -> bool {
        self.allows(Some(service))
    }

    /// Waits until the process is ready, or is not; to announce it somewhere, say.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn until(&self, ready: bool) {
        // The sender lives in what `self` holds.
        let _ = self.0.ready.subscribe().wait_for(|is| *is == ready).await;
    }

    /// What each check found last.
    pub fn checks(&self) -> Vec<CheckReport> {
        self.0.checks.get().into_iter().flatten().map(|check| check.report()).collect()
    }

    fn allows(&self, service: Option<&str>) -> bool {
        self.0.phase.load(Ordering::Relaxed) == SERVING
            && self.0.checks.get().into_iter().flatten().all(|check| check.allows(service))
    }

    fn phase_name(&self) -> &'static str {
        match self.0.phase.load(Ordering::Relaxed) {
            STARTING => "starting",
            STOPPING => "stopping",
            _ if self.is_ready() => "ready",
            _ => "not ready",
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("ready", &self.is_ready()).field("checks", &self.checks()).finish()
    }
}

/// Runs the checks and tells gRPC health what comes of them.
pub(super) struct Monitor {
    health: Health,
    checks: Vec<Arc<Checked>>,
    config: HealthConfig,
    publisher: Publisher,
}

impl Monitor {
    /// Nothing is run yet, and all services are NOT_SERVING.
    pub(super) async fn new(
        health: Health,
        checks: Vec<Check>,
        config: HealthConfig,
        reporter: HealthReporter,
        services: Vec<&'static str>,
    ) -> Result<Self, crate::Error> {
        let checks: Vec<_> = checks.into_iter().map(Checked::new).collect();
        for check in &checks {
            if let Some(unknown) = check.names_unknown(&services) {
                let message = format!("the check {:?} is of {unknown:?}, which the server does not have", check.name());
                return Err(crate::Error::invalid_argument(message));
            }
        }
        let _ = health.0.checks.set(checks.clone());
        let mut publisher = Publisher { health: health.clone(), reporter, services, told: HashMap::new(), ready: None };
        publisher.publish().await;
        Ok(Self { health, checks, config, publisher })
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Starts the checks, all at once. With none, all services are SERVING when this is done.
    pub(super) async fn start(mut self) -> Monitoring {
        self.health.0.phase.store(SERVING, Ordering::Relaxed);
        self.publisher.publish().await;
        let found = watch::Sender::new(());
        let gates = Arc::new(Semaphore::new(self.config.max_concurrent.min(Semaphore::MAX_PERMITS)));
        let mut tasks = JoinSet::new();
        for check in self.checks {
            tasks.spawn(keep(check, self.config.clone(), Arc::clone(&gates), found.clone()));
        }
        let (mut publisher, mut found) = (self.publisher.clone(), found.subscribe());
        let mut publishing = JoinSet::new();
        publishing.spawn(async move {
            // Done when all checks are.
            while found.changed().await.is_ok() {
                publisher.publish().await;
            }
        });
        Monitoring { health: self.health, tasks, publishing, publisher: self.publisher }
    }
}

/// Runs a check for ever.
async fn keep(check: Arc<Checked>, config: HealthConfig, gates: Arc<Semaphore>, found: watch::Sender<()>) {
    loop {
        // Never closed.
        if let Ok(_gate) = gates.acquire().await {
            check.run(config.timeout).await;
        }
        found.send_replace(());
        sleep(config.pause()).await;
    }
}

/// Checks that run. Dropping it ends them.
pub(super) struct Monitoring {
    health: Health,
    tasks: JoinSet<()>,
    publishing: JoinSet<()>,
    publisher: Publisher,
}

impl Monitoring {
    /// Ends the checks and says to everybody that the server is about to stop.
    pub(super) async fn leave(&mut self) {
        self.health.0.phase.store(STOPPING, Ordering::Relaxed);
        // Not waited for: a check that blocks its thread can't be ended, and must not hold up the stop.
        self.tasks.abort_all();
        // Waited for, so that nothing that it was about to tell is told after this. It never blocks.
        self.publishing.shutdown().await;
        self.publisher.forget();
        self.publisher.publish().await;
    }

    /// Ends the streams of those who watch: they have been told, and would be waited for.
    pub(super) async fn end_watches(&mut self) {
        self.publisher.clear().await;
    }
}

/// Tells gRPC health what has changed.
#[derive(Clone)]
struct Publisher {
    health: Health,
    reporter: HealthReporter,
    services: Vec<&'static str>,
    told: HashMap<&'static str, bool>,
    ready: Option<bool>,
}

impl Publisher {
    async fn publish(&mut self) {
        let ready = self.health.is_ready();
        for name in self.services.iter().copied().chain([""]) {
            let serving = if name.is_empty() { ready } else { self.health.is_serving(name) };
            // Whoever watches is woken by a change only.
            if self.told.insert(name, serving) != Some(serving) {
                let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.reporter.set_service_status(name, status).await;
            }
        }
        self.health.0.ready.send_replace(ready);
        if self.ready != Some(ready) {
            match (self.ready, ready) {
                (_, true) => tracing::info!("ready"),
                (Some(true), false) => tracing::warn!("no longer ready"),
                _ => {}
            }
            self.ready = Some(ready);
        }
    }

    fn forget(&mut self) {
        self.told.clear();
        // The stop is in the log already.
        self.ready = Some(false);
    }

    async fn clear(&mut self) {
        for name in self.services.iter().copied().chain([""]) {
            self.reporter.clear_service_status(name).await;
        }
    }
}
