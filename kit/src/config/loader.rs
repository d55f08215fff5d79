//! Puts the sources together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dotenv;
use super::error::{ConfigError, Origin, Problem};
use super::fill::{fill, list_keys, restore_defaults};
use super::loaded::{self, Loaded};
use super::names::{self, Names};
use super::parse;
use super::read::{name_of, read};
use super::tree::{Node, Text, Value};
use super::watch;
use crate::validate::{Validate, Violations};

/// Loads a configuration from its sources; see the [module](super) for their order and for how
/// values are read.
///
/// Without any source [`load`](Self::load) gives the default.
///
/// ```no_run
/// # #[derive(Default, serde::Serialize, serde::Deserialize)]
/// # #[serde(default, deny_unknown_fields)]
/// # struct Config { port: u16 }
/// use kit::config::{Loaded, Loader};
///
/// let loaded: Loaded<Config> = Loader::new("BOOKDETAILS")
///     .file("config/local.yaml")
///     .env_file(".env")
///     .env(std::env::vars_os())
///     .load()?;
/// # Ok::<(), kit::config::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Loader {
    prefix: String,
    files: Vec<Source>,
    env_files: Vec<PathBuf>,
    env: Vec<(OsString, OsString)>,
    ignored: Vec<String>,
}

/// Where YAML comes from.
#[derive(Clone)]
enum Source {
    Required(PathBuf),
    Optional(PathBuf),
    Text(Arc<str>, String),
}

/// What a section may be as a whole, where it may be left out.
const NONE: &str = "none";

/// The variables that may set a key, by name; of those with the same name the strongest.
type Variables = BTreeMap<String, (String, Origin)>;

impl std::fmt::Debug for Loader {
    /// Leaves the environment out: it holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader whose variables begin with this prefix and `_`. Under an empty prefix the keys
    /// alone are the names; then the other variables are all those of the machine, so that unknown
    /// ones are no error.
    pub fn new(env_prefix: &str) -> Self {
        Self {
            prefix: env_prefix.trim_end_matches('_').to_ascii_uppercase(),
            files: Vec::new(),
            env_files: Vec::new(),
            env: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// Adds a YAML file (JSON is YAML too). It must exist when [`load`](Self::load) is called; an
    /// empty one sets nothing.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(Source::Required(path.into()));
        self
    }

    /// Adds a YAML file that may be missing.
    pub fn optional_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(Source::Optional(path.into()));
        self
    }

    /// Adds YAML that is already there, under the name that messages shall give it: for tests and
    /// built-in files.
    pub fn text(mut self, name: &str, yaml: impl Into<String>) -> Self {
        self.files.push(Source::Text(name.into(), yaml.into()));
        self
    }

    /// Adds a `.env` file; it may be missing. Variables without the prefix are left to others.
    ///
    /// A line is `KEY=VALUE`, maybe after `export`; `#` starts a comment. The value may be in
    /// single quotes (taken as it is) or double quotes (with the escapes `\n`, `\r`, `\t`, `\\`,
    /// `\"`, `\$`). Nothing is expanded. A line that is none of this is an error, and so is a
    /// variable that is set twice in one file. Of several files a later one wins.
    pub fn env_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.env_files.push(path.into());
        self
    }

    /// Adds the environment: `std::env::vars_os()` in a service (`vars()` works too, but panics on
    /// text that is no UTF-8), a list of pairs in a test.
    pub fn env<K: Into<OsString>, V: Into<OsString>>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.env.extend(pairs);
        self
    }

    /// Allows variables that have the prefix and are no keys: full names, or beginnings that end in
    /// `*`.
    ///
    /// What Kubernetes sets for each service (`BOOKDETAILS_SERVICE_HOST`,
    /// `BOOKDETAILS_PORT=tcp://...`) is ignored anyway, unless it is a key: then set
    /// `enableServiceLinks: false`.
    pub fn ignore_env<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.ignored.extend(names.into_iter().map(Into::into));
        self
    }

    /// Loads the configuration.
    ///
    /// # Errors
    ///
    /// When a file is missing, not readable, not UTF-8, larger than 4 MiB or not YAML (a key set
    /// twice included), a line of a `.env` file is malformed, a variable with the prefix is no key,
    /// two keys of the default have the same variable, or a value does not fit its field. As far as
    /// possible all of that is found at once.
    pub fn load<T: Serialize + DeserializeOwned + Default>(&self) -> Result<Loaded<T>, ConfigError> {
        self.load_tree().map(|(loaded, _)| loaded)
    }

    /// Loads the configuration and lets it [validate](Validate) itself.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load), and each violation, with the place where its key was set.
    ///
    /// ```
    /// # #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
    /// # #[serde(default, deny_unknown_fields)]
    /// # struct Config { workers: u8 }
    /// use kit::config::{Loader, Validate, Violations};
    ///
    /// impl Validate for Config {
    ///     fn validate(&self, report: &mut Violations) {
    ///         report.require(self.workers > 0, "workers", "must be at least 1");
    ///     }
    /// }
    ///
    /// let loader = Loader::new("APP").text("app.yaml", "workers: 0");
    /// let error = loader.load_validated::<Config>().unwrap_err();
    /// assert_eq!(error.to_string(), "app.yaml:1:1: workers: must be at least 1");
    /// ```
    pub fn load_validated<T>(&self) -> Result<Loaded<T>, ConfigError>
    where
        T: Serialize + DeserializeOwned + Default + Validate,
    {
        let (loaded, merged) = self.load_tree::<T>()?;
        let mut report = Violations::default();
        loaded.config.validate(&mut report);
        let problem = |(key, message): (&str, &str)| Problem::new(Some(merged.origin_of(key)), key, message);
        let problems: Vec<Problem> = report.iter().map(problem).collect();
        if problems.is_empty() { Ok(loaded) } else { Err(ConfigError::new(problems)) }
    }

    /// The files that it reads, `.env` files among them.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let files = self.files.iter().filter_map(|source| match source {
            Source::Required(path) | Source::Optional(path) => Some(path),
            Source::Text(..) => None,
        });
        files.chain(&self.env_files).cloned().collect()
    }

    fn load_tree<T: Serialize + DeserializeOwned + Default>(&self) -> Result<(Loaded<T>, Node), ConfigError> {
        // Before they are read: a change that comes meanwhile is one that a watch sees.
        let look = watch::look_at(&self.paths());
        let default = list_keys(&T::default())?;
        let mut problems = Vec::new();
        let mut merged = self.merge_files(&mut problems);
        let variables = self.variables(&mut problems);
        self.apply(variables, &default, &mut merged, &mut problems);
        let config = fill::<T>(merged.clone(), &mut problems);
        let config = match config {
            Some(config) if problems.is_empty() => config,
            _ => return Err(ConfigError::new(problems)),
        };
        let (config, actual) = restore_defaults(config, &default, &merged)?;
        let settings = loaded::settings(&actual, &default, &merged);
        Ok((Loaded::new(config, settings, self.clone(), look), merged))
    }

    fn merge_files(&self, problems: &mut Vec<Problem>) -> Node {
        let mut merged = Node::new(Value::Map(Vec::new()), Origin::Default);
        for source in &self.files {
            let (name, text) = match source {
                Source::Text(name, text) => (Arc::clone(name), Ok(Some(text.clone()))),
                Source::Required(path) => (name_of(path), read(path, true)),
                Source::Optional(path) => (name_of(path), read(path, false)),
            };
            let whole = Origin::File { file: Arc::clone(&name), line: 0, column: 0 };
            match text.map(|text| text.map(|text| Node::parse(&text, &parse::in_file(name)))) {
                Ok(None) => {}
                Ok(Some(Ok(node))) => match node.value {
                    Value::Null => {}
                    Value::Map(_) => {
                        // The root takes the place of the file, for what can be said of no key.
                        merged.origin = whole;
                        merged.overlay(node);
                    }
                    _ => problems.push(Problem::new(Some(node.origin), "", "expected keys and values (`key: value`)")),
                },
                Ok(Some(Err(problem))) => problems.push(problem),
                Err(message) => problems.push(Problem::new(Some(whole), "", message)),
            }
        }
        merged
    }

    /// The variables with the prefix, those of the environment before those of the `.env` files.
    fn variables(&self, problems: &mut Vec<Problem>) -> Variables {
        let mut variables = Variables::new();
        for path in &self.env_files {
            let file = name_of(path);
            let origin = |line, name: &str| Origin::EnvFile { file: Arc::clone(&file), line, name: name.into() };
            match read(path, false) {
                Ok(None) => {}
                Ok(Some(text)) => {
                    let (found, bad_lines) = dotenv::parse(&file, &text);
                    problems.extend(bad_lines);
                    for dotenv::Variable { name, value, line } in found {
                        if self.is_ours(&name) {
                            let origin = origin(line, &name);
                            variables.insert(name, (value, origin));
                        }
                    }
                }
                Err(message) => problems.push(Problem::new(Some(origin(0, "")), "", message)),
            }
        }
        for (name, value) in &self.env {
            // What is no UTF-8 can't have the name of a key.
            let Some(name) = name.to_str().filter(|name| self.is_ours(name)) else {
                continue;
            };
            let origin = Origin::Env { name: name.into() };
            match value.to_str() {
                Some(value) => {
                    variables.insert(name.to_owned(), (value.to_owned(), origin));
                }
                // Without a prefix most variables are not ours.
                None if self.prefix.is_empty() => {}
                None => problems.push(Problem::new(Some(origin), "", "the value is not UTF-8")),
            }
        }
        variables
    }

    fn is_ours(&self, name: &str) -> bool {
        let ours = match name.strip_prefix(&self.prefix) {
            Some(rest) => self.prefix.is_empty() || rest.starts_with('_'),
            None => false,
        };
        let ignored = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        };
        ours && !self.ignored.iter().any(ignored)
    }

    /// Puts the variables where their keys are.
    fn apply(&self, variables: Variables, default: &Node, merged: &mut Node, problems: &mut Vec<Problem>) {
        let mut names = Names::default();
        names.add(&self.prefix, default);
        // A mistake of the program, so it is told whether or not the variable is set.
        for (name, keys) in names.ambiguous() {
            let message = format!("the variable {name} would set {}: rename one", names::print(keys));
            problems.push(Problem::new(None, "", message));
        }
        names.add(&self.prefix, merged);
        let mut found = Vec::new();
        for (name, (text, origin)) in variables {
            match names.keys(&name) {
                [path] => found.push((path.clone(), text, origin)),
                [] if text == NONE
                    && let Some(section) = names.section(&name) =>
                {
                    found.push((section.clone(), text, origin));
                }
                [] if self.prefix.is_empty() || names::is_service_link(&name, &text) => {}
                [] => problems.push(Problem::new(Some(origin), "", names.explain(&self.prefix, &name))),
                keys => {
                    let message = format!("could set {}: set them in the file", names::print(keys));
                    problems.push(Problem::new(Some(origin), "", message));
                }
            }
        }
        // A map before its entries.
        found.sort_by_key(|(path, ..)| path.len());
        for (path, text, origin) in found {
            let known = path.iter().try_fold(default, |node, key| node.get(key));
            let is_string = known.is_some_and(|node| matches!(node.value, Value::Str(_)));
            let node = Node::new(Value::Text(Text { text, is_string }), origin.clone());
            if let Err((depth, other)) = merged.insert(&path, node) {
                let above = path.get(..depth).unwrap_or_default().join(".");
                let message = format!("can't be set, because {other} sets `{above}` as a whole");
                problems.push(Problem::new(Some(origin), path.join("."), message));
            }
        }
    }
}
