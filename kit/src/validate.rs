//! What types alone cannot say about settings.
//!
//! Every section of settings of the kit implements [`Validate`], and so do those of a service. Who loads settings from files
//! uses `kit::config` (feature `config`), which checks all of them before anything starts; who makes them in code is
//! checked where they are used, such as by `Server::bind`.

use crate::Error;

/// Checks that a configuration makes sense, beyond the types of its values.
///
/// `Loader::load_validated` of `kit::config` calls it and tells for each violation where the value was set. Report all that is
/// wrong; don't stop at the first.
///
/// ```
/// use kit::validate::{Validate, Violations};
///
/// struct Config { database: Database }
/// struct Database { min: u32, max: u32 }
///
/// impl Validate for Config {
///     fn validate(&self, report: &mut Violations) {
///         report.section("database", &self.database);
///     }
/// }
///
/// impl Validate for Database {
///     fn validate(&self, report: &mut Violations) {
///         report.require(self.max > 0, "max", "must be at least 1");
///         if self.min > self.max {
///             report.add("min", format!("must not be above max, which is {}", self.max));
///         }
///     }
/// }
///
/// let mut report = Violations::default();
/// Config { database: Database { min: 2, max: 1 } }.validate(&mut report);
/// let found: Vec<_> = report.iter().collect();
/// assert_eq!(found, [("database.min", "must not be above max, which is 1")]);
/// ```
pub trait Validate {
    /// Adds to the report whatever is wrong.
    fn validate(&self, report: &mut Violations);

    /// The first that is wrong, for those who can't use such settings. `section` is what these settings are called where they
    /// are set, such as `server`; it may be empty.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting.
    ///
    /// ```
    /// use kit::{task::TasksConfig, validate::Validate as _};
    ///
    /// let error = TasksConfig { max_running: 0 }.check("tasks").unwrap_err();
    /// assert_eq!(error.message(), "tasks.max_running is 0: no task could run");
    /// ```
    fn check(&self, section: &str) -> Result<(), Error> {
        let mut report = Violations { prefix: section.to_owned(), found: Vec::new() };
        self.validate(&mut report);
        match report.iter().next() {
            None => Ok(()),
            Some(("", message)) => Err(Error::invalid_argument(message.to_owned())),
            Some((key, message)) => Err(Error::invalid_argument(format!("{key} {message}"))),
        }
    }
}

/// Collects what [`Validate`] finds. Empty by default.
#[derive(Clone, Debug, Default)]
pub struct Violations {
    prefix: String,
    found: Vec<(String, String)>,
}

impl Violations {
    /// Says what is wrong with a key, named relative to the section at hand: `max`, `pool.max`,
    /// `peers[0].url`. An empty key means the section itself.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        self.found.push((self.join(key), message.into()));
    }

    /// The same unless the condition holds.
    pub fn require(&mut self, condition: bool, key: &str, message: impl Into<String>) {
        if !condition {
            self.add(key, message);
        }
    }

    /// Lets a section check itself; its keys get the name of the section in front.
    pub fn section(&mut self, key: &str, section: &impl Validate) {
        let joined = self.join(key);
        let outer = std::mem::replace(&mut self.prefix, joined);
        section.validate(self);
        self.prefix = outer;
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was found: full key and message.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().map(|(key, message)| (key.as_str(), message.as_str()))
    }

    fn join(&self, key: &str) -> String {
        match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}.{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    struct Pool(u32);

    impl Validate for Pool {
        fn validate(&self, report: &mut Violations) {
            report.require(self.0 > 0, "", "is empty");
            report.require(self.0 != 1, "max", "is 1");
            report.require(self.0 != 1, "min", "is 1");
        }
    }

    #[test]
    fn who_cannot_use_settings_is_told_the_first_that_is_wrong() {
        let said = |pool: Pool, section| pool.check(section).unwrap_err().message().to_owned();
        Pool(2).check("pool").unwrap();
        assert_eq!(said(Pool(0), "pool"), "pool is empty");
        assert_eq!(said(Pool(0), ""), "is empty");
        assert_eq!(said(Pool(1), "pool"), "pool.max is 1");
        assert_eq!(said(Pool(1), ""), "max is 1");
        assert_eq!(Pool(1).check("pool").unwrap_err().code(), Code::InvalidArgument);
    }
}
