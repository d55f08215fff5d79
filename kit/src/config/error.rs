//! Where a value came from, and what can be wrong with it.

use std::fmt;
use std::sync::Arc;

use crate::mask::urls;

/// Where a value of the configuration was set.
///
/// Printed as `config/local.yaml:12`, `.env:3`, `env BOOKDETAILS_ADDR` or `default`.
///
/// ```
/// use kit::config::Origin;
///
/// let origin = Origin::Env { name: "BOOKDETAILS_ADDR".into() };
/// assert_eq!(origin.to_string(), "env BOOKDETAILS_ADDR");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In a configuration file.
    File {
        /// The file, as it was named to the loader.
        file: Arc<str>,
        /// The line, from 1; 0 when it is about the whole file.
        line: u64,
        /// The column in characters, from 1.
        column: u64,
    },
    /// In a `.env` file.
    EnvFile {
        /// The file, as it was named to the loader.
        file: Arc<str>,
        /// The line, from 1; 0 when it is about the whole file.
        line: u64,
        /// The variable; empty when it is about none in particular.
        name: Arc<str>,
    },
    /// In the environment of the process.
    Env {
        /// The variable.
        name: Arc<str>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line: 0, .. } | Self::EnvFile { file, line: 0, .. } => {
                write!(f, "{file}")
            }
            Self::File { file, line, .. } | Self::EnvFile { file, line, .. } => {
                write!(f, "{file}:{line}")
            }
            Self::Env { name } => write!(f, "env {name}"),
        }
    }
}

/// One thing that is wrong with the configuration.
///
/// Its text is `where: key: what`, for example `config/local.yaml:3:5: http.prot: unknown field
/// `prot`, expected `port``; a part that is not known is left out. Passwords in URLs are masked in
/// it and control characters escaped, so that it can be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    origin: Option<Origin>,
    key: String,
    message: String,
}

impl Problem {
    pub(super) fn new(origin: Option<Origin>, key: impl Into<String>, message: impl AsRef<str>) -> Self {
        Self { origin, key: key.into(), message: urls(message.as_ref()).into_owned() }
    }

    /// Where the wrong value was set; `None` when the problem belongs to no single place.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The key, such as `http.port`; empty when the problem is about no key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, without the place and the key.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if let Some(origin) = &self.origin {
            text.push_str(&origin.to_string());
            match origin {
                Origin::File { line, column, .. } if *line > 0 => text.push_str(&format!(":{column}")),
                Origin::EnvFile { name, .. } if !name.is_empty() => text.push_str(&format!(": {name}")),
                _ => {}
            }
            text.push_str(": ");
        }
        if !self.key.is_empty() {
            text.push_str(&self.key);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        f.write_str(&one_line(&text))
    }
}

/// A file may hold anything; a message that repeats a part of it must not forge another log line.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') {
            line.extend(char.escape_debug());
        } else {
            line.push(char);
        }
    }
    line
}

/// The configuration could not be loaded.
///
/// It holds every problem that could be found in one go; the text has one line for each. `Debug` is
/// the same text, so that a `main` that returns it stays readable.
///
/// ```
/// # use kit::config::Loader;
/// # #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
/// # #[serde(default, deny_unknown_fields)]
/// # struct Config { port: u16, workers: u8 }
/// let error = Loader::new("APP")
///     .text("app.yaml", "prot: 80\nworkers: many\n")
///     .load::<Config>()
///     .unwrap_err();
///
/// assert_eq!(
///     error.to_string(),
///     "app.yaml:1:1: prot: unknown field `prot`, expected `port` or `workers`\n\
///      app.yaml:2:10: workers: invalid type: string \"many\", expected u8"
/// );
/// assert_eq!(error.problems().len(), 2);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// What is wrong, one by one; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
