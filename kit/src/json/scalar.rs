//! The JSON and text forms of scalars.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserializer, Serializer, de::Error as _, de::Visitor};

use crate::message::{Enum, ParseError};

pub(crate) fn write_i32<S: Serializer>(value: i32, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_i32(value)
}

pub(crate) fn write_u32<S: Serializer>(value: u32, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u32(value)
}

pub(crate) fn write_i64<S: Serializer>(value: i64, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&value)
}

pub(crate) fn write_u64<S: Serializer>(value: u64, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&value)
}

pub(crate) fn write_f64<S: Serializer>(value: f64, s: S) -> Result<S::Ok, S::Error> {
    match name_of_special(value) {
        Some(name) => s.serialize_str(name),
        None => s.serialize_f64(value),
    }
}

pub(crate) fn write_f32<S: Serializer>(value: f32, s: S) -> Result<S::Ok, S::Error> {
    match name_of_special(f64::from(value)) {
        Some(name) => s.serialize_str(name),
        None => s.serialize_f32(value),
    }
}

fn name_of_special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("Infinity")
    } else if value == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

/// A type that every JSON integer is tried against.
pub(crate) trait Integer: FromStr + TryFrom<i64> + TryFrom<u64> + TryFrom<i128> {
    const WHAT: &'static str;
}

impl Integer for i32 {
    const WHAT: &'static str = "a 32-bit integer";
}
impl Integer for u32 {
    const WHAT: &'static str = "an unsigned 32-bit integer";
}
impl Integer for i64 {
    const WHAT: &'static str = "a 64-bit integer";
}
impl Integer for u64 {
    const WHAT: &'static str = "an unsigned 64-bit integer";
}

pub(crate) fn read_integer<'de, T: Integer, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct IntegerVisitor<T>(PhantomData<T>);

    impl<T: Integer> Visitor<'_> for IntegerVisitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::WHAT)
        }
        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
            T::try_from(value).map_err(|_| E::custom(format!("{value} is not {}", T::WHAT)))
        }
        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
            T::try_from(value).map_err(|_| E::custom(format!("{value} is not {}", T::WHAT)))
        }
        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<T, E> {
            from_float(value).ok_or_else(|| E::custom(format!("{value} is not {}", T::WHAT)))
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            if let Ok(value) = text.parse() {
                return if text.starts_with('+') { Err(E::custom(not_a(text, T::WHAT))) } else { Ok(value) };
            }
            // The JSON grammar of a number: "1e3" is an integer, " 1", "0x1" and "1_0" are none.
            match serde_json::from_str::<f64>(text) {
                Ok(value)
                    if !text.starts_with(|c: char| c.is_ascii_whitespace())
                        && !text.ends_with(|c: char| c.is_ascii_whitespace()) =>
                {
                    from_float(value).ok_or_else(|| E::custom(not_a(text, T::WHAT)))
                }
                _ => Err(E::custom(not_a(text, T::WHAT))),
            }
        }
    }

    deserializer.deserialize_any(IntegerVisitor(PhantomData))
}

fn from_float<T: TryFrom<i128>>(value: f64) -> Option<T> {
    // Past 2^64 nothing fits; the cast of what is left is exact.
    if value.fract() != 0.0 || value.abs() > 1.9e19 {
        return None;
    }
    T::try_from(value as i128).ok()
}

fn not_a(text: &str, what: &str) -> String {
    format!("{:?} is not {what}", shorten(text))
}

/// Keeps a caller's own text in an error message to a size that can be read and logged.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// A decimal integer without sign of plus: what a path, a query and a flag may hold.
pub(crate) fn parse_integer<T: FromStr>(text: &str, what: &str) -> Result<T, ParseError> {
    if text.starts_with('+') {
        return Err(ParseError::new(not_a(text, what)));
    }
    text.parse().map_err(|_| ParseError::new(not_a(text, what)))
}

pub(crate) fn parse_f64(text: &str) -> Result<f64, ParseError> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        // Rust also reads "inf" and "nan" in any case; protobuf does not.
        _ if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E')) => {
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ => Err(ParseError::new(not_a(text, "a number"))),
            }
        }
        _ => Err(ParseError::new(not_a(text, "a number (or NaN, Infinity, -Infinity)"))),
    }
}

pub(crate) fn parse_f32(text: &str) -> Result<f32, ParseError> {
    let wide = parse_f64(text)?;
    to_f32(wide).ok_or_else(|| ParseError::new(not_a(text, "a 32-bit float: it is out of range")))
}

fn to_f32(wide: f64) -> Option<f32> {
    let narrow = wide as f32;
    if narrow.is_infinite() && wide.is_finite() { None } else { Some(narrow) }
}

pub(crate) fn read_f64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    struct FloatVisitor;

    impl Visitor<'_> for FloatVisitor {
        type Value = f64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number (or \"NaN\", \"Infinity\", \"-Infinity\")")
        }
        fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
            Ok(value)
        }
        fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
            Ok(value as f64)
        }
        fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
            Ok(value as f64)
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
            parse_f64(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(FloatVisitor)
}

pub(crate) fn read_f32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let wide = read_f64(deserializer)?;
    to_f32(wide).ok_or_else(|| D::Error::custom(format!("{wide} is out of range for a 32-bit float")))
}

/// Reads a string without a copy where the text has no escapes.
pub(crate) fn read_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    struct TextVisitor;

    impl<'de> Visitor<'de> for TextVisitor {
        type Value = Cow<'de, str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }
        fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text))
        }
    }

    deserializer.deserialize_str(TextVisitor)
}

const BASE64: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, BASE64);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, BASE64);

pub(crate) fn parse_bytes(text: &str) -> Result<Vec<u8>, ParseError> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).map_err(|e| ParseError::new(format!("not base64: {e}")))
}

pub(crate) fn parse_enum<E: Enum>(text: &str) -> Result<i32, ParseError> {
    E::number(text).or_else(|| text.parse().ok()).ok_or_else(|| {
        const SHOWN: usize = 20;
        let names: Vec<_> = E::VALUES.iter().take(SHOWN).map(|(name, _)| *name).collect();
        let more = if E::VALUES.len() > SHOWN { ", ..." } else { "" };
        ParseError::new(format!("{:?} is not a {}: use one of {}{more}", shorten(text), E::NAME, names.join(", ")))
    })
}

pub(crate) fn read_enum<'de, E: Enum, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    struct EnumVisitor<T>(PhantomData<T>);

    impl<T: Enum> Visitor<'_> for EnumVisitor<T> {
        type Value = i32;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a name of {}", T::NAME)
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i32, E> {
            T::number(text).ok_or_else(|| match parse_enum::<T>(text) {
                // A number in quotes is a text form, not a JSON one.
                Ok(_) => E::custom(format!("{text:?} is not a name of {}", T::NAME)),
                Err(e) => E::custom(e),
            })
        }
        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<i32, E> {
            i32::try_from(value).map_err(|_| E::custom(format!("{value} is out of range for an enum")))
        }
        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i32, E> {
            i32::try_from(value).map_err(|_| E::custom(format!("{value} is out of range for an enum")))
        }
        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<i32, E> {
            from_float(value).ok_or_else(|| E::custom(format!("{value} is not a number of {}", T::NAME)))
        }
        fn visit_unit<E: serde::de::Error>(self) -> Result<i32, E> {
            if T::IS_NULL { Ok(0) } else { Err(E::invalid_type(serde::de::Unexpected::Unit, &self)) }
        }
    }

    deserializer.deserialize_any(EnumVisitor::<E>(PhantomData))
}
