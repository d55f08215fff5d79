//! Reports to Sentry, or to what speaks its protocol (GlitchTip, Bugsink).
//!
//! Sentry's own types and client, one client a service, and an HTTP transport of ours: those of the `sentry` crate bring a
//! second HTTP client, and its `init` is one for the whole process.
//!
//! Sentry is reached over HTTP, or over HTTPS with the feature `tls`; whom to trust is the system's certificates, or those of
//! `authorities`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sentry::{Client, ClientOptions, types::Dsn};
use serde::{Deserialize, Serialize};

use super::{ErrorReport, ErrorReporter};
use crate::{
    Error, duration,
    mask::Secret,
    validate::{Validate, Violations},
};

mod event;
mod post;

use post::Post;

/// As long as clients of ours wait for a connection; reports wait behind it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of reports to Sentry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SentryConfig {
    /// Where to: `https://<key>@<host>/<project>`, from the settings of the project. Default: empty, nothing is sent.
    pub dsn: Secret,
    /// The environment that events are filed under: `production`. Default: none.
    pub environment: Option<String>,
    /// The version of the service: `bookdetails@1.2.3`. Default: none.
    pub release: Option<String>,
    /// The name of the machine. Default: none.
    pub server_name: Option<String>,
    /// How long sending one report may take. Default: 5 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// A PEM file of the authorities to trust. Default: the system's.
    pub authorities: Option<PathBuf>,
}

impl Default for SentryConfig {
    fn default() -> Self {
        Self {
            dsn: Secret::default(),
            environment: None,
            release: None,
            server_name: None,
            timeout: TIMEOUT,
            authorities: None,
        }
    }
}

impl SentryConfig {
    /// The way to a project, otherwise at the defaults.
    pub fn new(dsn: impl Into<Secret>) -> Self {
        Self { dsn: dsn.into(), ..Self::default() }
    }

    // What is wrong with it is not repeated: the text has the key.
    fn parse(&self) -> Result<Dsn, &'static str> {
        let dsn = self.dsn.expose().parse::<Dsn>();
        let dsn = dsn.map_err(|_| "can't be read: it is like https://<key>@<host>/<project>")?;
        if dsn.scheme() == sentry::types::Scheme::Https && cfg!(not(feature = "tls")) {
            return Err("is https, which needs the feature `tls` of kit");
        }
        Ok(dsn)
    }
}

impl Validate for SentryConfig {
    fn validate(&self, report: &mut Violations) {
        if !self.dsn.is_empty()
            && let Err(why) = self.parse()
        {
            report.add("dsn", why);
        }
        report.require(!self.timeout.is_zero(), "timeout", "is 0: nothing could be sent");
    }
}

/// Sends reports as events to Sentry. When it can't be reached, a line in the log says so once, and reports are lost until it
/// can.
pub struct SentryReporter {
    client: Client,
}

impl SentryReporter {
    /// A reporter with a client of its own.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the settings can't be used.
    pub fn new(config: &SentryConfig) -> Result<Self, Error> {
        config.check("report.sentry")?;
        let dsn = config.parse().map_err(|why| Error::invalid_argument(format!("report.sentry.dsn {why}")))?;
        let post = Arc::new(Post::new(&dsn, config)?);
        let mut options = ClientOptions::new().default_integrations(false).transport(post);
        options.dsn = Some(dsn);
        options.environment = config.environment.clone().map(Into::into);
        options.release = config.release.clone().map(Into::into);
        options.server_name = config.server_name.clone().map(Into::into);
        Ok(Self { client: Client::with_options(options) })
    }
}

/// Waits for the answer of Sentry. Not for a thread of a Tokio runtime, on which it would panic.
impl ErrorReporter for SentryReporter {
    fn report(&self, report: ErrorReport) {
        self.client.capture_event(event::of(report), None);
    }
}

impl std::fmt::Debug for SentryReporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentryReporter").finish_non_exhaustive()
    }
}
