//! How a service reaches its database.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::address::{Options, redact};
use crate::validate::{Validate, Violations};

/// Ten connections: the default of the pool library, and well below the 100 to 151 sessions that PostgreSQL and MySQL
/// servers admit as installed, so that several processes fit.
const MAX_CONNECTIONS: u32 = 10;

/// Three seconds: longer than a busy pool or a server's restart of one connection needs, shorter than a person's patience.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Settings of the database and of the pool of connections to it; by convention the section `database`.
///
/// `Debug` leaves the password out; serializing does not, because what is written has to be readable again
/// ([`Loaded`](crate::config::Loaded) masks it where it prints).
///
/// ```
/// use kit::{sql::DatabaseConfig, validate::Validate as _};
///
/// DatabaseConfig::new("sqlite://data/books.db").check("database")?;
///
/// let error = DatabaseConfig::new("books").check("database").unwrap_err();
/// assert!(error.message().starts_with("database.url "));
/// # Ok::<(), kit::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Where the database is: `sqlite://path`, `sqlite::memory:`, `mysql://` or `mariadb://user:password@host/name`,
    /// `postgres://user:password@host/name`. Reserved characters of a password are percent-encoded. There is no default
    /// but what the service says.
    ///
    /// A SQLite file and its folders are made when they are missing, unless the URL says otherwise (`?mode=rw` to insist
    /// on an existing file, `?mode=ro` to never write).
    pub url: String,
    /// The most connections open at once. Default 10; an in-memory database has always exactly one.
    pub max_connections: u32,
    /// The longest wait for a connection, and for the answer of a readiness check. Default 3 s.
    #[serde(with = "crate::config::duration")]
    pub acquire_timeout: Duration,
    /// Bring the schema up to date while connecting. Default `false`: where several processes share a production
    /// database, somebody decides when its schema changes.
    pub migrate: bool,
    /// Enter the sample rows while connecting, where they are missing. Default `false`: a production database has no use
    /// for them.
    pub seed: bool,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            max_connections: MAX_CONNECTIONS,
            acquire_timeout: ACQUIRE_TIMEOUT,
            migrate: false,
            seed: false,
        }
    }
}

impl DatabaseConfig {
    /// The defaults for the database at this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

impl Validate for DatabaseConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.max_connections > 0, "max_connections", "is 0, which lets nobody in: set at least 1");
        report.require(
            !self.acquire_timeout.is_zero(),
            "acquire_timeout",
            "is 0, which no connection can meet: the default is 3s",
        );
        if let Err(message) = Options::parse(&self.url) {
            report.add("url", message);
        }
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &redact(&self.url))
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("migrate", &self.migrate)
            .field("seed", &self.seed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(config: &DatabaseConfig) -> Vec<(String, String)> {
        let mut report = Violations::default();
        config.validate(&mut report);
        report.iter().map(|(key, message)| (key.to_owned(), message.to_owned())).collect()
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let good = DatabaseConfig::new("sqlite::memory:");
        assert_eq!(violations(&good), []);
        let nobody = DatabaseConfig { max_connections: 0, ..good.clone() };
        let never = DatabaseConfig { acquire_timeout: Duration::ZERO, ..good };
        for (config, key) in [(nobody, "max_connections"), (never, "acquire_timeout")] {
            assert_eq!(violations(&config)[0].0, key);
        }
        for url in ["", "books", "http://db/books", "sqlite://", "mysql://root@db", "mysql://root:p/w@db/books"] {
            let found = violations(&DatabaseConfig::new(url));
            assert_eq!((found.len(), found[0].0.as_str()), (1, "url"), "{url}");
            assert!(!found[0].1.contains("p/w"), "{url}: {found:?}");
        }
    }

    #[test]
    fn a_missing_setting_has_its_default_and_an_unknown_one_is_refused() {
        let config: DatabaseConfig =
            serde_json::from_str(r#"{"url":"sqlite::memory:","seed":true,"acquire_timeout":"250ms"}"#).unwrap();
        assert_eq!((config.max_connections, config.seed, config.migrate), (10, true, false));
        assert_eq!(config.acquire_timeout, Duration::from_millis(250));
        serde_json::from_str::<DatabaseConfig>(r#"{"urll":""}"#).unwrap_err();
    }
}
