use std::{fmt, future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::Error;

type BoxFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Something that a service needs: a database, another service. Run every now and then by the server that it is given to.
///
/// ```
/// use kit::{Error, server::Check};
///
/// # async fn answers() -> Result<(), Error> { Ok(()) }
/// // While this fails, the process is not ready.
/// let database = Check::new("database", || async { answers().await });
/// // While this fails, one service of several is not serving, and the process is not ready.
/// let cellar = Check::new("cellar", || async { answers().await }).of("wine.Cellar");
/// // While this fails, the answers are poorer: that is shown, and nothing else.
/// let comments = Check::new("comments", || async { answers().await }).informational();
/// # let _ = (database, cellar, comments);
/// ```
pub struct Check {
    name: &'static str,
    critical: bool,
    services: Vec<String>,
    run: Box<dyn Fn() -> BoxFuture + Send + Sync>,
}

impl Check {
    /// A check that is critical for all services. Its error's message is shown to whoever asks `/readyz?verbose`, the details
    /// stay in the log.
    ///
    /// The future is dropped when it takes longer than [`HealthConfig::timeout`](super::HealthConfig::timeout), and at the stop.
    pub fn new<F, Fut>(name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self { name, critical: true, services: Vec::new(), run: Box::new(move || Box::pin(check())) }
    }

    /// Makes it one whose failure is shown, and changes nothing.
    #[must_use]
    pub fn informational(mut self) -> Self {
        self.critical = false;
        self
    }

    /// Makes it one that concerns this service, `package.Service`, and others that are named in this way; not the rest.
    #[must_use]
    pub fn of(mut self, service: impl Into<String>) -> Self {
        self.services.push(service.into());
        self
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, critical, services, run: _ } = self;
        f.debug_struct("Check")
            .field("name", name)
            .field("critical", critical)
            .field("services", services)
            .finish_non_exhaustive()
    }
}

/// What a check found last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckState {
    /// It has not been run.
    Pending,
    /// All is well.
    Passing,
    /// It failed: the error's message for callers.
    Failing(String),
}

/// A check, and what it found last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// What is checked.
    pub name: &'static str,
    /// Whether its failure makes services unready.
    pub critical: bool,
    /// The services that it concerns; none for all.
    pub services: Vec<String>,
    /// What it found last.
    pub state: CheckState,
}

/// A check with what it found.
pub(super) struct Checked {
    check: Check,
    state: ArcSwap<CheckState>,
}

impl Checked {
    pub(super) fn new(check: Check) -> Arc<Self> {
        Arc::new(Self { check, state: ArcSwap::from_pointee(CheckState::Pending) })
    }

    pub(super) fn report(&self) -> CheckReport {
        let Check { name, critical, services, run: _ } = &self.check;
        CheckReport {
            name,
            critical: *critical,
            services: services.clone(),
            state: CheckState::clone(&self.state.load()),
        }
    }

    /// Whether it lets a service serve; whether it lets the process be ready, for none.
    pub(super) fn allows(&self, service: Option<&str>) -> bool {
        let Check { critical, services, .. } = &self.check;
        let concerns = service.is_none_or(|service| services.is_empty() || services.iter().any(|one| one == service));
        !*critical || !concerns || **self.state.load() == CheckState::Passing
    }

    pub(super) fn names_unknown<'a>(&'a self, services: &'a [&'static str]) -> Option<&'a str> {
        self.check.services.iter().map(String::as_str).find(|name| !services.contains(name))
    }

    pub(super) fn name(&self) -> &'static str {
        self.check.name
    }

    /// Runs it once. A change is logged, not each failure.
    pub(super) async fn run(&self, limit: Duration) {
        let running = AssertUnwindSafe(async { (self.check.run)().await }).catch_unwind();
        let result = match timeout(limit, running).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::internal("the check failed to run; the failure was logged")),
            Err(_) => Err(Error::deadline_exceeded(format!("no answer within {}", crate::duration::format(limit)))),
        };
        let before = self.state.load();
        let (check, critical) = (self.check.name, self.check.critical);
        let state = match result {
            Ok(()) => {
                if matches!(**before, CheckState::Failing(_)) {
                    tracing::info!(check, critical, "the check passes again");
                }
                CheckState::Passing
            }
            Err(error) => {
                let text = error.to_log();
                if matches!(**before, CheckState::Failing(_)) {
                    tracing::debug!(check, critical, error = %text, "the check still fails");
                } else {
                    tracing::warn!(check, critical, error = %text, "the check fails");
                }
                CheckState::Failing(error.message().to_owned())
            }
        };
        self.state.store(Arc::new(state));
    }
}
