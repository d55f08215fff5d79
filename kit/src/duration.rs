//! Durations with a unit, such as `250ms`, `1.5s`, `2m` or `1h30m`: for `#[serde(with =
//! "kit::config::duration")]`.
//!
//! The units are `d`, `h`, `m`, `s`, `ms`, `us` (or `µs`) and `ns`, each at most once and the
//! largest first. A number without a unit is an error: whether `30` means seconds or milliseconds
//! is what people get wrong. [`option`] does the same for `Option<Duration>`.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Timeouts {
//!     #[serde(with = "kit::config::duration")]
//!     request: Duration,
//!     #[serde(default, with = "kit::config::duration::option")]
//!     idle: Option<Duration>,
//! }
//!
//! let timeouts: Timeouts = serde_json::from_str(r#"{"request": "1500ms"}"#)?;
//! assert_eq!(timeouts.request, Duration::from_millis(1500));
//! assert_eq!(serde_json::to_string(&timeouts)?, r#"{"request":"1.5s","idle":null}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// The units and their nanoseconds, the largest first.
const UNITS: [(&str, u128); 8] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// Why a text is no duration; its own text says what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDurationError(String);

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseDurationError {}

/// Reads a duration; also fit as a `value_parser` of a command line flag.
///
/// # Errors
///
/// When a unit is missing or unknown, units are repeated or out of order, or the duration is too
/// long, negative or finer than a nanosecond.
///
/// ```
/// use std::time::Duration;
///
/// use kit::config::duration;
///
/// assert_eq!(duration::parse("1h30m"), Ok(Duration::from_secs(5400)));
/// assert_eq!(
///     duration::parse("30").unwrap_err().to_string(),
///     "the duration `30` has no unit: write `30s` or `30ms`"
/// );
/// ```
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let trimmed = text.trim();
    let fail = |why: &str| Err(ParseDurationError(format!("the duration `{trimmed}` {why}")));
    if !trimmed.starts_with(|first: char| first.is_ascii_digit()) {
        return fail("is not like `250ms`, `1.5s` or `1h30m`");
    }
    let mut rest = trimmed;
    let mut total: u128 = 0;
    let mut smaller_than = u128::MAX;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let tail = tail.trim_start();
        let unit_end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if unit.is_empty() {
            return if number == trimmed {
                fail(&format!("has no unit: write `{number}s` or `{number}ms`"))
            } else {
                fail("is not like `250ms`, `1.5s` or `1h30m`")
            };
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return fail(&format!("has the unknown unit `{unit}`: use d, h, m, s, ms, us or ns"));
        };
        if *size >= smaller_than {
            return fail("must have each unit once, the largest first");
        }
        smaller_than = *size;
        match nanoseconds(number, *size) {
            Ok(nanoseconds) => total = total.saturating_add(nanoseconds),
            Err(why) => return fail(why),
        }
        rest = tail.trim_start();
    }
    let seconds = u64::try_from(total / 1_000_000_000);
    let nanoseconds = u32::try_from(total % 1_000_000_000);
    match (seconds, nanoseconds) {
        (Ok(seconds), Ok(nanoseconds)) => Ok(Duration::new(seconds, nanoseconds)),
        _ => fail("is too long"),
    }
}

/// Exact, unlike a detour by `f64`: what is printed reads back as the same duration.
fn nanoseconds(number: &str, unit: u128) -> Result<u128, &'static str> {
    let malformed = "is not like `250ms`, `1.5s` or `1h30m`";
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return Err(malformed),
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return Err(malformed);
    }
    let whole: u128 = whole.parse().map_err(|_| "is too long")?;
    let mut total = whole.checked_mul(unit).ok_or("is too long")?;
    let mut place = unit;
    for digit in fraction.bytes().map(|byte| u128::from(byte.saturating_sub(b'0'))) {
        if digit > 0 && (place == 0 || !place.is_multiple_of(10)) {
            // A day or an hour has few decimal places that are whole nanoseconds, and a nanosecond
            // none.
            return Err("is finer than a nanosecond");
        }
        place /= 10;
        total = total.checked_add(digit * place).ok_or("is too long")?;
    }
    Ok(total)
}

/// Prints a duration in the shortest usual form: `250ms`, `1.5s`, `1h30m`, `0s`.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(kit::config::duration::format(Duration::from_secs(5400)), "1h30m");
/// ```
pub fn format(duration: Duration) -> String {
    let total = duration.as_nanos();
    if total == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = total;
    for (unit, size) in [("h", 3_600_000_000_000), ("m", 60_000_000_000)] {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    // After hours or minutes a fraction of a second reads better than another unit: `1m0.5s`.
    let (unit, size) = match rest {
        0 => return text,
        1..1_000 if text.is_empty() => ("ns", 1),
        1_000..1_000_000 if text.is_empty() => ("us", 1_000),
        1_000_000..1_000_000_000 if text.is_empty() => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    text.push_str(&(rest / size).to_string());
    if !rest.is_multiple_of(size) {
        let width = usize::try_from(u128::ilog10(size)).unwrap_or_default();
        let fraction = format!("{:0width$}", rest % size);
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push_str(unit);
    text
}

/// Writes a duration for serde, as [`format()`] does.
///
/// # Errors
///
/// Only those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// Reads a duration for serde, as [`parse`] does.
///
/// # Errors
///
/// When the value is no text or [`parse`] refuses it.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(DurationVisitor)
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `250ms`, `1.5s` or `1h30m`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }

    // Numbers go the same way, for the message that asks for a unit.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Duration, E> {
        self.visit_str(&number.to_string())
    }
}

/// The same for `Option<Duration>`: `None` is null; add `#[serde(default)]` where the key may be
/// left out.
pub mod option {
    use super::{Deserializer, Duration, DurationVisitor, Serialize, Serializer, Visitor, de, fmt};

    /// Writes a duration as text and `None` as null.
    ///
    /// # Errors
    ///
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(super::format).serialize(serializer)
    }

    /// Reads null as `None` and anything else as [`parse`](super::parse) does.
    ///
    /// # Errors
    ///
    /// When the value is neither null nor a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        deserializer.deserialize_option(OptionVisitor)
    }

    struct OptionVisitor;

    impl<'de> Visitor<'de> for OptionVisitor {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            DurationVisitor.expecting(f)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_prints_canonically() {
        for (text, canonical) in [
            ("250ms", "250ms"),
            ("1.5s", "1.5s"),
            ("1500ms", "1.5s"),
            ("2m", "2m"),
            ("1h30m", "1h30m"),
            ("1h 30 m", "1h30m"),
            ("90s", "1m30s"),
            ("1d", "24h"),
            ("0s", "0s"),
            ("60.5s", "1m0.5s"),
            ("1.25us", "1.25us"),
            ("3µs", "3us"),
            ("0.5h", "30m"),
            (" 7ns ", "7ns"),
        ] {
            assert_eq!(parse(text).map(format), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, message) in [
            ("30", "the duration `30` has no unit: write `30s` or `30ms`"),
            ("1m30", "the duration `1m30` is not like `250ms`, `1.5s` or `1h30m`"),
            ("", "the duration `` is not like `250ms`, `1.5s` or `1h30m`"),
            ("-1s", "the duration `-1s` is not like `250ms`, `1.5s` or `1h30m`"),
            ("1.s", "the duration `1.s` is not like `250ms`, `1.5s` or `1h30m`"),
            ("1.2.3s", "the duration `1.2.3s` is not like `250ms`, `1.5s` or `1h30m`"),
            ("1w", "the duration `1w` has the unknown unit `w`: use d, h, m, s, ms, us or ns"),
            ("1m1h", "the duration `1m1h` must have each unit once, the largest first"),
            ("1us1µs", "the duration `1us1µs` must have each unit once, the largest first"),
            ("1.05ns", "the duration `1.05ns` is finer than a nanosecond"),
            ("1.5ns", "the duration `1.5ns` is finer than a nanosecond"),
            ("99999999999999999999d", "the duration `99999999999999999999d` is too long"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_parsed(text in "([0-9.]|[hms]|ns|é| ){0,50}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_printed_reads_back(
            seconds in any::<u64>(),
            nanoseconds in 0..1_000_000_000_u32,
        ) {
            for duration in [
                Duration::new(seconds, nanoseconds),
                Duration::new(seconds % 4000, 0),
                Duration::new(0, nanoseconds % 2_000_000),
            ] {
                prop_assert_eq!(parse(&format(duration)), Ok(duration));
            }
        }
    }
}
