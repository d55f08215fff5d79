//! The loaded configuration, and how it is shown.

use std::fmt;

use super::error::{Origin, one_line};
use super::loader::Loader;
use super::tree::{Node, Value};
use super::watch::{Look, Watch};
use crate::mask::{MASK, Mask};

/// Beyond this column the origins are not lined up any more.
const WIDEST: usize = 60;

/// A configuration, and for each of its values where it came from.
///
/// `Display` and `Debug` list all values, one a line, with their origin. Masked are: each
/// [`Secret`](super::Secret), what has a key that says it is secret and all below it (`password`,
/// `api_key`, `tokens.ann`, by the usual names of [`Mask`]; `true`, `false` and `null` are shown),
/// and the passwords of URLs. So a flag like `--print-config` is `println!("{loaded}")`. (`Debug` of
/// the `config` itself masks only each [`Secret`](super::Secret).)
///
/// ```
/// # #[derive(Default, serde::Serialize, serde::Deserialize)]
/// # #[serde(default, deny_unknown_fields)]
/// # struct Config { url: String, workers: u8 }
/// use kit::config::{Loaded, Loader};
///
/// let loaded: Loaded<Config> = Loader::new("APP")
///     .text("app.yaml", "url: mysql://root:pa55@localhost/books")
///     .load()?;
///
/// assert_eq!(
///     loaded.print(),
///     r#"url = "mysql://root:***@localhost/books"    # app.yaml:1
/// workers = 0                                 # default"#
/// );
/// # Ok::<(), kit::config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Loaded<T> {
    /// The configuration itself.
    pub config: T,
    settings: Vec<Setting>,
    loader: Loader,
    look: Look,
}

impl<T> Loaded<T> {
    pub(super) fn new(config: T, settings: Vec<Setting>, loader: Loader, look: Look) -> Self {
        Self { config, settings, loader, look }
    }

    /// Watches the files that it was loaded from, for a service that takes changed settings over while it runs.
    pub fn watch(&self) -> Watch<T> {
        Watch::new(self.loader.clone(), self.settings.clone(), self.look.clone())
    }

    /// All values with their origins as text, without a newline at the end: the same as `Display`.
    pub fn print(&self) -> String {
        self.to_string()
    }

    /// All values with their origins, in the order of the fields.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }
}

impl<T> fmt::Display for Loaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.settings.iter().map(ToString::to_string).collect();
        let widths = lines.iter().map(|line| line.chars().count());
        let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or_default();
        for (index, (line, setting)) in lines.iter().zip(&self.settings).enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            let origin = one_line(&setting.origin.to_string());
            write!(f, "{newline}{line:width$}    # {origin}")?;
        }
        Ok(())
    }
}

impl<T> fmt::Debug for Loaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One value of a loaded configuration, as it may be shown: `Display` is `key = value`.
///
/// ```
/// # #[derive(Default, serde::Serialize, serde::Deserialize)]
/// # #[serde(default, deny_unknown_fields)]
/// # struct Config { workers: u8 }
/// use kit::config::{Loader, Origin};
///
/// let loaded = Loader::new("APP").env([("APP_WORKERS", "4")]).load::<Config>()?;
/// let [workers] = loaded.settings() else { panic!() };
///
/// assert_eq!((workers.key(), workers.value()), ("workers", "4"));
/// assert_eq!(*workers.origin(), Origin::Env { name: "APP_WORKERS".into() });
/// # Ok::<(), kit::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    key: String,
    value: String,
    origin: Origin,
}

impl Setting {
    /// The key, such as `database.url`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as JSON, with secrets masked.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where it was set.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", one_line(&self.key), self.value)
    }
}

/// Lists the values of `actual`, each with its origin in `merged`.
pub(super) fn settings(actual: &Node, default: &Node, merged: &Node) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mask = Mask::default();
    let mut lister = Lister { merged, mask: &mask, settings: &mut settings };
    lister.list(actual, Some(default), "", false, &merged.origin);
    settings
}

/// What is the same for all values of a configuration.
struct Lister<'a> {
    merged: &'a Node,
    mask: &'a Mask,
    settings: &'a mut Vec<Setting>,
}

impl Lister<'_> {
    /// Lists a value and those below it; all of them are `hidden` when a key above says so.
    fn list(&mut self, actual: &Node, default: Option<&Node>, key: &str, hidden: bool, section: &Origin) {
        let origin = self.merged.origin_of(key);
        match &actual.value {
            Value::Map(entries) if !entries.is_empty() => {
                let section = if origin == Origin::Default { section } else { &origin };
                for entry in entries {
                    let default = default.and_then(|default| default.get(&entry.key));
                    let hidden = hidden || self.mask.hides(&entry.key);
                    let key = match key {
                        "" => entry.key.clone(),
                        key => format!("{key}.{}", entry.key),
                    };
                    self.list(&entry.node, default, &key, hidden, section);
                }
            }
            _ if key.is_empty() => {}
            _ => {
                // It was set, yet not under its own name: by an alias. The section is the best that
                // can be said.
                let changed = default.is_none_or(|default| !same(default, actual));
                let origin = if changed && origin == Origin::Default { section.clone() } else { origin };
                let (key, value) = (key.to_owned(), render(actual, hidden, self.mask));
                self.settings.push(Setting { key, value, origin });
            }
        }
    }
}

/// Whether two trees have the same values, wherever they came from.
pub(super) fn same(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left, _), Value::Bool(right, _)) => left == right,
        (Value::Int(left, _), Value::Int(right, _)) => left == right,
        (Value::Float(left, _), Value::Float(right, _)) => left.total_cmp(right).is_eq(),
        (Value::Str(left), Value::Str(right)) => left == right,
        (Value::Seq(left), Value::Seq(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Map(entries), Value::Map(others)) => {
            let equal = |key: &str, node: &Node| right.get(key).is_some_and(|other| same(node, other));
            entries.len() == others.len() && entries.iter().all(|entry| equal(&entry.key, &entry.node))
        }
        _ => false,
    }
}

/// The value as JSON on one line, masked: all of it when its key is `hidden`.
fn render(node: &Node, hidden: bool, mask: &Mask) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value, _) => value.to_string(),
        Value::Seq(items) if items.is_empty() => "[]".to_owned(),
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Str(text) if text.is_empty() => quote(""),
        _ if hidden => quote(MASK),
        Value::Int(_, text) | Value::Float(_, text) => text.clone(),
        Value::Str(text) => quote(&mask.text(text)),
        Value::Text(text) => quote(&mask.text(&text.text)),
        Value::Seq(items) => {
            let items: Vec<String> = items.iter().map(|item| render(item, false, mask)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entry = |key: &str, node: &Node| format!("{}: {}", quote(key), render(node, mask.hides(key), mask));
            let entries: Vec<String> = entries.iter().map(|e| entry(&e.key, &e.node)).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn quote(text: &str) -> String {
    one_line(&serde_json::Value::from(text).to_string())
}
