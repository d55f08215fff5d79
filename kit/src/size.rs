//! Sizes with a unit, such as `64KiB` or `100MiB`: for `#[serde(with = "kit::size")]` on a `u64`.
//!
//! The units are `B`, `KiB`, `MiB`, `GiB` and `TiB`, and the decimal `KB`, `MB`, `GB` and `TB`. A number without a unit is an
//! error: whether `100` means bytes or megabytes is what people get wrong.
//!
//! ```
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct File {
//!     #[serde(with = "kit::size")]
//!     max_size: u64,
//! }
//!
//! let file: File = serde_json::from_str(r#"{"max_size": "1.5MiB"}"#)?;
//! assert_eq!(file.max_size, 1_572_864);
//! assert_eq!(serde_json::to_string(&file)?, r#"{"max_size":"1536KiB"}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;

use serde::{
    Serializer,
    de::{self, Deserializer, Visitor},
};

/// The units and their bytes; those that sizes are printed in come first, the largest of them before the others.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Why a text is no size; its own text says what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseSizeError(String);

impl fmt::Display for ParseSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseSizeError {}

/// Reads a size; a fraction is rounded down to whole bytes.
///
/// # Errors
/// When the unit is missing or unknown, or the size is malformed or too large.
///
/// ```
/// assert_eq!(kit::size::parse("100MiB"), Ok(104_857_600));
/// assert_eq!(kit::size::parse("100").unwrap_err().to_string(), "the size `100` has no unit: write `100MiB` or `100B`");
/// ```
pub fn parse(text: &str) -> Result<u64, ParseSizeError> {
    let trimmed = text.trim();
    let fail = |why: &str| ParseSizeError(format!("the size `{trimmed}` {why}"));
    let malformed = || fail("is not like `64KiB`, `1.5MiB` or `2GiB`");
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if [whole, fraction].iter().any(|digits| digits.is_empty() || digits.contains('.')) {
        return Err(malformed());
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(fail(&format!("has no unit: write `{number}MiB` or `{number}B`")));
    }
    let (_, unit) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or_else(|| fail(&format!("has the unknown unit `{unit}`: use B, KiB, MiB, GiB or TiB")))?;
    let too_large = || fail("is too large");
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    // Twelve decimal places are less than a byte of every unit.
    let fraction: String = fraction.chars().chain("000000000000".chars()).take(12).collect();
    let fraction: u128 = fraction.parse().map_err(|_| malformed())?;
    let part = u64::try_from(fraction * u128::from(*unit) / 1_000_000_000_000).map_err(|_| too_large())?;
    whole.checked_mul(*unit).and_then(|bytes| bytes.checked_add(part)).ok_or_else(too_large)
}

/// Prints a size in the largest binary unit that holds it exactly: `100MiB`, `1536KiB`, `1000B`.
///
/// ```
/// assert_eq!(kit::size::format(64 * 1024), "64KiB");
/// ```
pub fn format(bytes: u64) -> String {
    let exact = UNITS.iter().take(5).find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    exact.map_or_else(|| "0B".to_owned(), |(unit, size)| format!("{}{unit}", bytes / size))
}

/// Writes a size for serde, as [`format()`] does.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*bytes))
}

/// Reads a size for serde, as [`parse`] does.
///
/// # Errors
/// When the value is no text or [`parse`] refuses it.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(SizeVisitor)
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as `64KiB` or `100MiB`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse(text).map_err(E::custom)
    }

    // Numbers go the same way, for the message that asks for a unit.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_units_in_any_case() {
        for (text, bytes) in
            [("0B", 0), ("1 kib", 1024), ("2MB", 2_000_000), ("0.5GiB", 1 << 29), ("1.0000000000001B", 1)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, why) in [
            ("", "is not like"),
            ("MiB", "is not like"),
            ("-1MiB", "is not like"),
            ("1..2MiB", "is not like"),
            ("1.MiB", "is not like"),
            ("5", "has no unit"),
            ("5 apples", "unknown unit `apples`"),
            ("99999999TiB", "too large"),
            ("99999999999999999999B", "too large"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_parsed(text in "([0-9.]|[KMGTib]|é| ){0,30}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_printed_reads_back(bytes: u64) {
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }
    }
}
