use std::{fmt, sync::OnceLock};

use regex::Regex;

/// A regular expression (RE2 syntax) that is compiled when it is first needed; a static of generated code. It takes time linear
/// in the text, whatever the pattern.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The pattern of this text, which `kit-build` has tried.
    pub const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        // What does not compile matches nothing: a rule must not be passed by being wrong.
        let compiled = self.compiled.get_or_init(|| Regex::new(self.text).ok());
        compiled.as_ref().is_some_and(|pattern| pattern.is_match(value))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}
