//! What the debug port asks of the other parts of a service.

use std::time::Duration;

use crate::Error;

/// A setting as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key, such as `database.url`.
    pub key: String,
    /// The value as JSON, with secrets masked.
    pub value: String,
    /// Where it was set: `default`, `config/local.yaml:3`, `env BOOKDETAILS_DATABASE_URL`.
    pub origin: String,
}

#[cfg(feature = "config")]
impl From<&crate::config::Setting> for ConfigEntry {
    fn from(setting: &crate::config::Setting) -> Self {
        Self { key: setting.key().to_owned(), value: setting.value().to_owned(), origin: setting.origin().to_string() }
    }
}

/// A log whose level can be changed while it runs.
pub trait LogControl: Send + Sync + 'static {
    /// The level of now: `info`, or directives as `info,kit::access=warn`.
    fn level(&self) -> String;

    /// Changes the level; for a time, or until it is changed again.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the level can't be read; it stays as it was.
    fn set_level(&self, level: &str, time: Option<Duration>) -> Result<(), Error>;
}

impl LogControl for crate::telemetry::log::Log {
    fn level(&self) -> String {
        self.level()
    }

    fn set_level(&self, level: &str, time: Option<Duration>) -> Result<(), Error> {
        match time {
            Some(time) => self.set_level_for(level, time),
            None => self.set_level(level),
        }
    }
}
