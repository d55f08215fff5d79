use std::fmt;

use super::{Check, Count, Pattern, count};

/// The rules of bytes.
#[derive(Debug)]
pub struct BytesCheck<'a, 'v> {
    check: Check<'a>,
    value: &'v [u8],
}

impl<'a, 'v> BytesCheck<'a, 'v> {
    pub(super) fn new(check: Check<'a>, value: &'v [u8]) -> Self {
        Self { check, value }
    }

    fn require(mut self, holds: bool, must: fmt::Arguments<'_>) -> Self {
        self.check.require(holds, must);
        self
    }

    fn has_length(self, lengths: &[usize], what: &str) -> Self {
        let holds = lengths.contains(&self.value.len());
        self.require(holds, format_args!("must be {what}"))
    }

    /// `const`.
    pub fn equals(self, wanted: &[u8]) -> Self {
        let holds = self.value == wanted;
        self.require(holds, format_args!("must be \"{}\"", wanted.escape_ascii()))
    }

    /// `len`.
    pub fn len(self, wanted: u64) -> Self {
        let holds = count(self.value.len()) == wanted;
        self.require(holds, format_args!("must have {}", Count(wanted, "byte")))
    }

    /// `min_len`.
    pub fn min_len(self, least: u64) -> Self {
        let holds = count(self.value.len()) >= least;
        self.require(holds, format_args!("must have at least {}", Count(least, "byte")))
    }

    /// `max_len`.
    pub fn max_len(self, most: u64) -> Self {
        let holds = count(self.value.len()) <= most;
        self.require(holds, format_args!("must have at most {}", Count(most, "byte")))
    }

    /// `pattern`: of the text that the bytes are; bytes that are no UTF-8 match none.
    pub fn pattern(self, pattern: &Pattern) -> Self {
        let holds = std::str::from_utf8(self.value).is_ok_and(|text| pattern.matches(text));
        self.require(holds, format_args!("must be UTF-8 and match the pattern {pattern}"))
    }

    /// `prefix`.
    pub fn prefix(self, prefix: &[u8]) -> Self {
        let holds = self.value.starts_with(prefix);
        self.require(holds, format_args!("must start with \"{}\"", prefix.escape_ascii()))
    }

    /// `suffix`.
    pub fn suffix(self, suffix: &[u8]) -> Self {
        let holds = self.value.ends_with(suffix);
        self.require(holds, format_args!("must end with \"{}\"", suffix.escape_ascii()))
    }

    /// `contains`.
    pub fn contains(self, part: &[u8]) -> Self {
        let holds = part.is_empty() || self.value.windows(part.len()).any(|window| window == part);
        self.require(holds, format_args!("must contain \"{}\"", part.escape_ascii()))
    }

    /// `in`.
    pub fn one_of(self, allowed: &[&[u8]]) -> Self {
        let holds = allowed.contains(&self.value);
        self.require(holds, format_args!("must be one of {}", Count(count(allowed.len()), "value")))
    }

    /// `not_in`.
    pub fn none_of(self, forbidden: &[&[u8]]) -> Self {
        let holds = !forbidden.contains(&self.value);
        self.require(holds, format_args!("must be none of {}", Count(count(forbidden.len()), "value")))
    }

    /// `ip`: the four bytes of an IPv4 address, or the sixteen of an IPv6 one.
    pub fn ip(self) -> Self {
        self.has_length(&[4, 16], "the 4 or 16 bytes of an IP address")
    }

    /// `ipv4`.
    pub fn ipv4(self) -> Self {
        self.has_length(&[4], "the 4 bytes of an IPv4 address")
    }

    /// `ipv6`.
    pub fn ipv6(self) -> Self {
        self.has_length(&[16], "the 16 bytes of an IPv6 address")
    }

    /// `uuid`.
    pub fn uuid(self) -> Self {
        self.has_length(&[16], "the 16 bytes of a UUID")
    }
}
