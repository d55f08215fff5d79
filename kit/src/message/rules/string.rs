use std::fmt;

use super::{Check, Choice, Count, Format, Pattern, Quoted, count};

/// The rules of a string.
#[derive(Debug)]
pub struct StringCheck<'a, 'v> {
    check: Check<'a>,
    value: &'v str,
}

impl<'a, 'v> StringCheck<'a, 'v> {
    pub(super) fn new(check: Check<'a>, value: &'v str) -> Self {
        Self { check, value }
    }

    fn require(mut self, holds: bool, must: fmt::Arguments<'_>) -> Self {
        self.check.require(holds, must);
        self
    }

    /// How many characters (Unicode scalar values) there are.
    fn chars(&self) -> u64 {
        count(self.value.chars().count())
    }

    fn bytes(&self) -> u64 {
        count(self.value.len())
    }

    /// `const`.
    pub fn equals(self, wanted: &str) -> Self {
        let holds = self.value == wanted;
        self.require(holds, format_args!("must be {wanted:?}"))
    }

    /// `len`, in characters.
    pub fn len(self, wanted: u64) -> Self {
        let holds = self.chars() == wanted;
        self.require(holds, format_args!("must have {}", Count(wanted, "character")))
    }

    /// `min_len`, in characters.
    pub fn min_len(self, least: u64) -> Self {
        let holds = self.chars() >= least;
        self.require(holds, format_args!("must have at least {}", Count(least, "character")))
    }

    /// `max_len`, in characters.
    pub fn max_len(self, most: u64) -> Self {
        // Not more characters than bytes: most texts need no counting.
        let holds = self.bytes() <= most || self.chars() <= most;
        self.require(holds, format_args!("must have at most {}", Count(most, "character")))
    }

    /// `len_bytes`.
    pub fn len_bytes(self, wanted: u64) -> Self {
        let holds = self.bytes() == wanted;
        self.require(holds, format_args!("must have {}", Count(wanted, "byte")))
    }

    /// `min_bytes`.
    pub fn min_bytes(self, least: u64) -> Self {
        let holds = self.bytes() >= least;
        self.require(holds, format_args!("must have at least {}", Count(least, "byte")))
    }

    /// `max_bytes`.
    pub fn max_bytes(self, most: u64) -> Self {
        let holds = self.bytes() <= most;
        self.require(holds, format_args!("must have at most {}", Count(most, "byte")))
    }

    /// `pattern`.
    pub fn pattern(self, pattern: &Pattern) -> Self {
        let holds = pattern.matches(self.value);
        self.require(holds, format_args!("must match the pattern {pattern}"))
    }

    /// `prefix`.
    pub fn prefix(self, prefix: &str) -> Self {
        let holds = self.value.starts_with(prefix);
        self.require(holds, format_args!("must start with {prefix:?}"))
    }

    /// `suffix`.
    pub fn suffix(self, suffix: &str) -> Self {
        let holds = self.value.ends_with(suffix);
        self.require(holds, format_args!("must end with {suffix:?}"))
    }

    /// `contains`.
    pub fn contains(self, part: &str) -> Self {
        let holds = self.value.contains(part);
        self.require(holds, format_args!("must contain {part:?}"))
    }

    /// `not_contains`.
    pub fn not_contains(self, part: &str) -> Self {
        let holds = !self.value.contains(part);
        self.require(holds, format_args!("must not contain {part:?}"))
    }

    /// `in`.
    pub fn one_of(mut self, allowed: &[&str]) -> Self {
        if !allowed.contains(&self.value) {
            self.check.fail(format_args!("must be {}", Choice(&quoted(allowed))));
        }
        self
    }

    /// `not_in`.
    pub fn none_of(mut self, forbidden: &[&str]) -> Self {
        if forbidden.contains(&self.value) {
            self.check.fail(format_args!("must not be {}", Choice(&quoted(forbidden))));
        }
        self
    }

    /// `email`, `uuid` and the like.
    pub fn format(self, format: Format) -> Self {
        let holds = format.fits(self.value);
        self.require(holds, format_args!("must be {}", format.name()))
    }
}

fn quoted<'a>(texts: &[&'a str]) -> Vec<Quoted<'a>> {
    texts.iter().map(|text| Quoted(text)).collect()
}
