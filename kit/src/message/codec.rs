//! How one value of a field is written and read: a marker type for each protobuf type.

use std::{borrow::Cow, fmt, hash::Hash, marker::PhantomData};

use base64::Engine as _;
use serde::{Deserializer, Serializer};

use super::Message;
use crate::json::{self, Options, Reader, Scanner, plain, scalar, text};

/// Why a text is not a value of the type that the field has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    message: String,
    needs_fields: bool,
}

impl ParseError {
    /// The error of a message that has no form as one text.
    pub(crate) fn of_message(name: &str) -> Self {
        let message = format!("{name} is a message: name one of its fields, as in `field.name`");
        Self { message, needs_fields: true }
    }

    /// Whether the field is a message that has no form as one text.
    pub fn needs_fields(&self) -> bool {
        self.needs_fields
    }

    /// An error that says what was wrong and what is expected.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), needs_fields: false }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParseError {}

/// The type of a field's value: its Rust type, its JSON form and its text form.
///
/// Implemented by marker types ([`Int32`], [`Nested`], ...) rather than by the Rust types, because several protobuf types
/// share one (an enum is an `i32`).
pub trait Codec: Sized + 'static {
    /// The Rust type that holds a value.
    type Value: Clone + 'static;

    /// Whether JSON `null` is a value rather than the absence of one.
    const NULL_IS_VALUE: bool = false;

    /// Whether the value is a message with fields of its own.
    const HAS_FIELDS: bool = false;

    /// Writes canonical JSON.
    fn write<S: Serializer>(value: &Self::Value, options: &Options, serializer: S) -> Result<S::Ok, S::Error>;

    /// Writes canonical JSON as text at the end of `out`. The default goes through [`Codec::write`].
    fn write_text(value: &Self::Value, options: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        text::value::<Self>(value, options, out)
    }

    /// Reads JSON.
    fn read<'de, D: Deserializer<'de>>(reader: &Reader<'_>, deserializer: D) -> Result<Self::Value, D::Error>;

    /// Reads JSON from a text, or gives up: then the text is read again by [`Codec::read`]. The default goes through that, too.
    fn scan(scanner: &mut Scanner<'_>) -> Option<Self::Value> {
        plain::value::<Self>(scanner)
    }

    /// Reads the text of a path variable, a query parameter or a flag.
    fn parse(text: &str) -> Result<Self::Value, ParseError>;

    /// The value of a field that was not set.
    fn unset() -> Self::Value;

    /// Whether a value is the one of a field that was not set.
    fn is_unset(value: &Self::Value) -> bool;

    /// Lets `visitor` change the field called `name` of a message; any other value has no fields.
    fn visit_field<V: super::VisitField>(
        value: &mut Self::Value,
        name: &str,
        visitor: V,
    ) -> Result<V::Output, V::Error> {
        let _ = value;
        visitor.unknown(name)
    }

    /// Whether a message has a map with several entries somewhere, which the wire may show in any order; any other value has none.
    fn has_order(value: &Self::Value) -> bool {
        let _ = value;
        false
    }
}

/// A codec whose values may be the keys of a map.
pub trait KeyCodec: Codec<Value: Eq + Hash> {
    /// The key as JSON writes it.
    fn key(value: &Self::Value) -> Cow<'_, str>;
}

macro_rules! integer {
    ($(#[$doc:meta])* $name:ident, $type:ty, $write:ident, $text:path, $read:path, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Codec for $name {
            type Value = $type;
            fn write<S: Serializer>(value: &$type, _: &Options, s: S) -> Result<S::Ok, S::Error> {
                scalar::$write(*value, s)
            }
            fn write_text(value: &$type, _: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
                $text(value, out)
            }
            fn read<'de, D: Deserializer<'de>>(_: &Reader<'_>, d: D) -> Result<$type, D::Error> {
                $read(d)
            }
            fn scan(scanner: &mut Scanner<'_>) -> Option<$type> {
                scanner.integer()
            }
            fn parse(text: &str) -> Result<$type, ParseError> {
                scalar::parse_integer(text, $what)
            }
            fn unset() -> $type {
                0
            }
            fn is_unset(value: &$type) -> bool {
                *value == 0
            }
        }

        impl KeyCodec for $name {
            fn key(value: &$type) -> Cow<'_, str> {
                Cow::Owned(value.to_string())
            }
        }
    };
}

integer!(
    /// `int32`, `sint32`, `sfixed32`: a JSON number.
    Int32, i32, write_i32, text::through_serde, scalar::read_integer, "a 32-bit integer"
);
integer!(
    /// `uint32`, `fixed32`: a JSON number.
    Uint32, u32, write_u32, text::through_serde, scalar::read_integer, "an unsigned 32-bit integer"
);
integer!(
    /// `int64`, `sint64`, `sfixed64`: a JSON string, because a JSON number loses digits in many readers.
    Int64, i64, write_i64, text::quoted, scalar::read_integer, "a 64-bit integer"
);
integer!(
    /// `uint64`, `fixed64`: a JSON string, because a JSON number loses digits in many readers.
    Uint64, u64, write_u64, text::quoted, scalar::read_integer, "an unsigned 64-bit integer"
);

macro_rules! float {
    ($(#[$doc:meta])* $name:ident, $type:ty, $write:path, $read:path, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Codec for $name {
            type Value = $type;
            fn write<S: Serializer>(value: &$type, _: &Options, s: S) -> Result<S::Ok, S::Error> {
                $write(*value, s)
            }
            fn read<'de, D: Deserializer<'de>>(_: &Reader<'_>, d: D) -> Result<$type, D::Error> {
                $read(d)
            }
            fn parse(text: &str) -> Result<$type, ParseError> {
                $parse(text)
            }
            fn unset() -> $type {
                0.0
            }
            fn is_unset(value: &$type) -> bool {
                // -0.0 differs from the default and must be written.
                value.to_bits() == 0
            }
        }
    };
}

float!(
    /// `double`: a JSON number, or one of the strings `NaN`, `Infinity`, `-Infinity`.
    Double, f64, scalar::write_f64, scalar::read_f64, scalar::parse_f64
);
float!(
    /// `float`: a JSON number, or one of the strings `NaN`, `Infinity`, `-Infinity`.
    Float, f32, scalar::write_f32, scalar::read_f32, scalar::parse_f32
);

/// `bool`.
#[derive(Debug)]
pub struct Bool;

impl Codec for Bool {
    type Value = bool;
    fn write<S: Serializer>(value: &bool, _: &Options, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bool(*value)
    }
    fn write_text(value: &bool, _: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        out.extend_from_slice(if *value { b"true" } else { b"false" });
        Ok(())
    }
    fn read<'de, D: Deserializer<'de>>(_: &Reader<'_>, d: D) -> Result<bool, D::Error> {
        serde::Deserialize::deserialize(d)
    }
    fn scan(scanner: &mut Scanner<'_>) -> Option<bool> {
        scanner.word("true").map(|()| true).or_else(|| scanner.word("false").map(|()| false))
    }
    fn parse(text: &str) -> Result<bool, ParseError> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(ParseError::new(format!("{text:?} is not a bool: use true or false"))),
        }
    }
    fn unset() -> bool {
        false
    }
    fn is_unset(value: &bool) -> bool {
        !*value
    }
}

impl KeyCodec for Bool {
    fn key(value: &bool) -> Cow<'_, str> {
        Cow::Borrowed(if *value { "true" } else { "false" })
    }
}

/// `string`.
#[derive(Debug)]
pub struct Str;

impl Codec for Str {
    type Value = String;
    fn write<S: Serializer>(value: &String, _: &Options, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(value)
    }
    fn write_text(value: &String, _: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        text::string(value, out)
    }
    fn read<'de, D: Deserializer<'de>>(_: &Reader<'_>, d: D) -> Result<String, D::Error> {
        serde::Deserialize::deserialize(d)
    }
    fn scan(scanner: &mut Scanner<'_>) -> Option<String> {
        scanner.string().map(Cow::into_owned)
    }
    fn parse(text: &str) -> Result<String, ParseError> {
        Ok(text.to_owned())
    }
    fn unset() -> String {
        String::new()
    }
    fn is_unset(value: &String) -> bool {
        value.is_empty()
    }
}

impl KeyCodec for Str {
    fn key(value: &String) -> Cow<'_, str> {
        Cow::Borrowed(value)
    }
}

/// `bytes`: base64 in JSON. Both alphabets are read, with or without padding.
#[derive(Debug)]
pub struct Bytes;

impl Codec for Bytes {
    type Value = Vec<u8>;
    fn write<S: Serializer>(value: &Vec<u8>, _: &Options, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&base64::engine::general_purpose::STANDARD.encode(value))
    }
    fn read<'de, D: Deserializer<'de>>(_: &Reader<'_>, d: D) -> Result<Vec<u8>, D::Error> {
        let text: Cow<'_, str> = json::scalar::read_text(d)?;
        scalar::parse_bytes(&text).map_err(serde::de::Error::custom)
    }
    fn scan(scanner: &mut Scanner<'_>) -> Option<Vec<u8>> {
        scalar::parse_bytes(&scanner.string()?).ok()
    }
    fn parse(text: &str) -> Result<Vec<u8>, ParseError> {
        scalar::parse_bytes(text)
    }
    fn unset() -> Vec<u8> {
        Vec::new()
    }
    fn is_unset(value: &Vec<u8>) -> bool {
        value.is_empty()
    }
}

/// What a protobuf enum tells of itself; generated.
pub trait Enum: 'static {
    /// The full name: `library.Kind`.
    const NAME: &'static str;
    /// Names and numbers in the order of declaration, aliases included.
    const VALUES: &'static [(&'static str, i32)];
    /// True for `google.protobuf.NullValue` alone.
    const IS_NULL: bool = false;

    /// The number of the value called `name`.
    fn number(name: &str) -> Option<i32> {
        Self::VALUES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }

    /// The (first) name of a number, if it has one.
    fn name(number: i32) -> Option<&'static str> {
        Self::VALUES.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
    }
}

/// An enum field: its value is the number, JSON writes the name (and reads both).
#[derive(Debug)]
pub struct Enumeration<E>(PhantomData<E>);

impl<E: Enum> Codec for Enumeration<E> {
    type Value = i32;
    const NULL_IS_VALUE: bool = E::IS_NULL;
    fn write<S: Serializer>(value: &i32, _: &Options, s: S) -> Result<S::Ok, S::Error> {
        if E::IS_NULL {
            return s.serialize_unit();
        }
        match E::name(*value) {
            Some(name) => s.serialize_str(name),
            None => s.serialize_i32(*value),
        }
    }
    fn write_text(value: &i32, _: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match E::name(*value) {
            _ if E::IS_NULL => text::through_serde(&(), out),
            Some(name) => text::string(name, out),
            None => text::through_serde(value, out),
        }
    }
    fn read<'de, D: Deserializer<'de>>(_: &Reader<'_>, d: D) -> Result<i32, D::Error> {
        scalar::read_enum::<E, D>(d)
    }
    fn scan(scanner: &mut Scanner<'_>) -> Option<i32> {
        if E::IS_NULL {
            return plain::value::<Self>(scanner);
        }
        if scanner.is_string() { E::number(&scanner.string()?) } else { scanner.integer() }
    }
    fn parse(text: &str) -> Result<i32, ParseError> {
        scalar::parse_enum::<E>(text)
    }
    fn unset() -> i32 {
        0
    }
    fn is_unset(value: &i32) -> bool {
        *value == 0
    }
}

/// A message field.
#[derive(Debug)]
pub struct Nested<M>(PhantomData<M>);

impl<M: Message> Codec for Nested<M> {
    type Value = M;
    const NULL_IS_VALUE: bool = M::NULL_IS_VALUE;
    const HAS_FIELDS: bool = !M::IS_VALUE;
    fn write<S: Serializer>(value: &M, options: &Options, s: S) -> Result<S::Ok, S::Error> {
        value.write_json(options, s)
    }
    fn write_text(value: &M, options: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        value.write_text(options, out)
    }
    fn read<'de, D: Deserializer<'de>>(reader: &Reader<'_>, d: D) -> Result<M, D::Error> {
        let mut message = M::default();
        message.read_json(reader, d)?;
        Ok(message)
    }
    fn scan(scanner: &mut Scanner<'_>) -> Option<M> {
        let mut message = M::default();
        message.scan_json(scanner)?;
        Some(message)
    }
    fn parse(text: &str) -> Result<M, ParseError> {
        M::parse_text(text)
    }
    fn unset() -> M {
        M::default()
    }
    fn is_unset(value: &M) -> bool {
        *value == M::default()
    }
    fn visit_field<V: super::VisitField>(value: &mut M, name: &str, visitor: V) -> Result<V::Output, V::Error> {
        value.visit_field(name, visitor)
    }
    fn has_order(value: &M) -> bool {
        super::stable::has_order(value)
    }
}

/// A message field whose type contains itself, and so is kept in a `Box`.
#[derive(Debug)]
pub struct Boxed<M>(PhantomData<M>);

impl<M: Message> Codec for Boxed<M> {
    type Value = Box<M>;
    const NULL_IS_VALUE: bool = M::NULL_IS_VALUE;
    const HAS_FIELDS: bool = !M::IS_VALUE;
    fn write<S: Serializer>(value: &Box<M>, options: &Options, s: S) -> Result<S::Ok, S::Error> {
        value.write_json(options, s)
    }
    fn write_text(value: &Box<M>, options: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        value.write_text(options, out)
    }
    fn read<'de, D: Deserializer<'de>>(reader: &Reader<'_>, d: D) -> Result<Box<M>, D::Error> {
        Nested::<M>::read(reader, d).map(Box::new)
    }
    fn scan(scanner: &mut Scanner<'_>) -> Option<Box<M>> {
        Nested::<M>::scan(scanner).map(Box::new)
    }
    fn parse(text: &str) -> Result<Box<M>, ParseError> {
        M::parse_text(text).map(Box::new)
    }
    fn unset() -> Box<M> {
        Box::default()
    }
    fn is_unset(value: &Box<M>) -> bool {
        **value == M::default()
    }
    fn visit_field<V: super::VisitField>(value: &mut Box<M>, name: &str, visitor: V) -> Result<V::Output, V::Error> {
        value.visit_field(name, visitor)
    }
    fn has_order(value: &Box<M>) -> bool {
        super::stable::has_order(value.as_ref())
    }
}
