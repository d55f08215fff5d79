//! What types alone cannot say about a configuration.

/// Checks that a configuration makes sense, beyond the types of its values.
///
/// [`Loader::load_validated`](super::Loader::load_validated) calls it and tells for each violation
/// where the value was set. Report all that is wrong; don't stop at the first.
///
/// ```
/// use kit::config::{Validate, Violations};
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
