//! The well-known types, which have JSON forms of their own, on prost's types for them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
    ser::{Error as _, SerializeMap, SerializeSeq},
};

use super::{Codec, Enum, Field, Message, Nested, ParseError, Visit, VisitField, codec};
use crate::json::{Options, Reader, Registry, scalar};

/// A well-known type is one value: it shows no fields.
macro_rules! one_value {
    () => {
        const IS_VALUE: bool = true;
        fn visit<V: Visit>(&self, _: &mut V) -> Result<(), V::Error> {
            Ok(())
        }
        fn visit_field<V: VisitField>(&mut self, name: &str, visitor: V) -> Result<V::Output, V::Error> {
            visitor.unknown(name)
        }
    };
}

impl Message for () {
    const NAME: &'static str = "google.protobuf.Empty";
    fn visit<V: Visit>(&self, _: &mut V) -> Result<(), V::Error> {
        Ok(())
    }
    fn visit_field<V: VisitField>(&mut self, name: &str, visitor: V) -> Result<V::Output, V::Error> {
        visitor.unknown(name)
    }
}

/// Wrappers: prost maps them to the Rust type of what they wrap.
macro_rules! wrapper {
    ($type:ty, $codec:ty, $name:literal) => {
        impl Message for $type {
            const NAME: &'static str = concat!("google.protobuf.", $name);
            one_value!();
            fn write_json<S: Serializer>(&self, options: &Options, serializer: S) -> Result<S::Ok, S::Error> {
                <$codec>::write(self, options, serializer)
            }
            fn read_json<'de, D: Deserializer<'de>>(
                &mut self,
                reader: &Reader<'_>,
                deserializer: D,
            ) -> Result<(), D::Error> {
                *self = <$codec>::read(reader, deserializer)?;
                Ok(())
            }
            fn parse_text(text: &str) -> Result<Self, ParseError> {
                <$codec>::parse(text)
            }
        }
    };
}

wrapper!(bool, codec::Bool, "BoolValue");
wrapper!(i32, codec::Int32, "Int32Value");
wrapper!(i64, codec::Int64, "Int64Value");
wrapper!(u32, codec::Uint32, "UInt32Value");
wrapper!(u64, codec::Uint64, "UInt64Value");
wrapper!(f32, codec::Float, "FloatValue");
wrapper!(f64, codec::Double, "DoubleValue");
wrapper!(String, codec::Str, "StringValue");
wrapper!(Vec<u8>, codec::Bytes, "BytesValue");

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what timestamp.proto allows.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Ten thousand years: what duration.proto allows.
const DURATION_SECONDS: i64 = 315_576_000_000;
const NANOS: i32 = 1_000_000_000;

impl Message for prost_types::Timestamp {
    const NAME: &'static str = "google.protobuf.Timestamp";
    one_value!();
    fn write_json<S: Serializer>(&self, _: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        if !TIMESTAMP_SECONDS.contains(&self.seconds) || !(0..NANOS).contains(&self.nanos) {
            return Err(S::Error::custom("a timestamp is outside the years 1 to 9999"));
        }
        serializer.collect_str(self)
    }
    fn read_json<'de, D: Deserializer<'de>>(&mut self, _: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        *self = Self::parse_text(&scalar::read_text(deserializer)?).map_err(D::Error::custom)?;
        Ok(())
    }
    fn parse_text(text: &str) -> Result<Self, ParseError> {
        let refused = || {
            ParseError::new(format!(
                "{:?} is not a timestamp: use RFC 3339, as in 2020-01-02T03:04:05Z",
                scalar::shorten(text)
            ))
        };
        // prost reads dates alone, spaces for the T, missing zones and lower case; RFC 3339 in JSON has none of them.
        let bytes = text.as_bytes();
        let zone = bytes.get(19..).unwrap_or_default();
        let fraction = match zone.strip_prefix(b".") {
            Some(rest) => rest.iter().take_while(|b| b.is_ascii_digit()).count(),
            None => 0,
        };
        let zone = if zone.first() == Some(&b'.') { zone.get(1 + fraction..).unwrap_or_default() } else { zone };
        let zone_fits = match zone {
            b"Z" => true,
            [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()),
            _ => false,
        };
        let fraction_fits = bytes.get(19) != Some(&b'.') || (1..=9).contains(&fraction);
        if bytes.get(10) != Some(&b'T') || !zone_fits || !fraction_fits || !text.is_ascii() {
            return Err(refused());
        }
        let parsed: Self = text.parse().map_err(|_| refused())?;
        if TIMESTAMP_SECONDS.contains(&parsed.seconds) { Ok(parsed) } else { Err(refused()) }
    }
}

impl Message for prost_types::Duration {
    const NAME: &'static str = "google.protobuf.Duration";
    one_value!();
    fn write_json<S: Serializer>(&self, _: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        let signs_agree = (self.seconds >= 0 && self.nanos >= 0) || (self.seconds <= 0 && self.nanos <= 0);
        if self.seconds.unsigned_abs() > DURATION_SECONDS.unsigned_abs()
            || self.nanos.unsigned_abs() >= NANOS.unsigned_abs()
            || !signs_agree
        {
            return Err(S::Error::custom("a duration is out of range"));
        }
        serializer.collect_str(self)
    }
    fn read_json<'de, D: Deserializer<'de>>(&mut self, _: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        *self = Self::parse_text(&scalar::read_text(deserializer)?).map_err(D::Error::custom)?;
        Ok(())
    }
    fn parse_text(text: &str) -> Result<Self, ParseError> {
        parse_duration(text).ok_or_else(|| {
            ParseError::new(format!("{:?} is not a duration: use seconds, as in 1.5s", scalar::shorten(text)))
        })
    }
}

fn parse_duration(text: &str) -> Option<prost_types::Duration> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    if seconds > DURATION_SECONDS {
        return None;
    }
    Some(if negative {
        prost_types::Duration { seconds: -seconds, nanos: -nanos }
    } else {
        prost_types::Duration { seconds, nanos }
    })
}

impl Message for prost_types::FieldMask {
    const NAME: &'static str = "google.protobuf.FieldMask";
    one_value!();
    fn write_json<S: Serializer>(&self, _: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        let mut paths = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let camel = to_camel(path);
            if to_snake(&camel) != *path {
                return Err(S::Error::custom(format!("the field mask path {path:?} has no JSON form")));
            }
            paths.push(camel);
        }
        serializer.serialize_str(&paths.join(","))
    }
    fn read_json<'de, D: Deserializer<'de>>(&mut self, _: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        let text = scalar::read_text(deserializer)?;
        if text.contains('_') {
            return Err(D::Error::custom("a field mask in JSON has lowerCamel paths, without underscores"));
        }
        *self = Self::parse_text(&text).map_err(D::Error::custom)?;
        Ok(())
    }
    /// Both forms of a name are taken here, as every gateway does.
    fn parse_text(text: &str) -> Result<Self, ParseError> {
        let paths: Vec<_> = text.split(',').filter(|path| !path.is_empty()).map(to_snake).collect();
        let fits = |path: &String| path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
        match paths.iter().find(|path| !fits(path)) {
            Some(path) => Err(ParseError::new(format!("{:?} is not a path of a field mask", scalar::shorten(path)))),
            None => Ok(Self { paths }),
        }
    }
}

fn to_camel(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut upper = false;
    for c in path.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

fn to_snake(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 4);
    for c in path.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

impl Message for prost_types::Any {
    const NAME: &'static str = "google.protobuf.Any";
    one_value!();
    fn write_json<S: Serializer>(&self, options: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        Registry::write_any(self, options).map_err(S::Error::custom)?.serialize(serializer)
    }
    fn read_json<'de, D: Deserializer<'de>>(&mut self, reader: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        *self = Registry::read_any(value, reader.options()).map_err(|e| D::Error::custom(e.message()))?;
        Ok(())
    }
}

/// The one value of `google.protobuf.NullValue`.
impl Enum for prost_types::NullValue {
    const NAME: &'static str = "google.protobuf.NullValue";
    const VALUES: &'static [(&'static str, i32)] = &[("NULL_VALUE", 0)];
    const IS_NULL: bool = true;
}

impl Message for prost_types::Struct {
    const NAME: &'static str = "google.protobuf.Struct";
    one_value!();
    fn write_json<S: Serializer>(&self, _: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (key, value) in &self.fields {
            map.serialize_entry(key, &Tree(value))?;
        }
        map.end()
    }
    fn read_json<'de, D: Deserializer<'de>>(&mut self, _: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        self.fields =
            BTreeMap::<String, OwnedTree>::deserialize(deserializer)?.into_iter().map(|(k, v)| (k, v.0)).collect();
        Ok(())
    }
}

impl Message for prost_types::ListValue {
    const NAME: &'static str = "google.protobuf.ListValue";
    one_value!();
    fn write_json<S: Serializer>(&self, _: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.values.len()))?;
        for value in &self.values {
            seq.serialize_element(&Tree(value))?;
        }
        seq.end()
    }
    fn read_json<'de, D: Deserializer<'de>>(&mut self, _: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        self.values = Vec::<OwnedTree>::deserialize(deserializer)?.into_iter().map(|v| v.0).collect();
        Ok(())
    }
}

impl Message for prost_types::Value {
    const NAME: &'static str = "google.protobuf.Value";
    const NULL_IS_VALUE: bool = true;
    one_value!();
    fn write_json<S: Serializer>(&self, _: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        Tree(self).serialize(serializer)
    }
    fn read_json<'de, D: Deserializer<'de>>(&mut self, _: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        *self = OwnedTree::deserialize(deserializer)?.0;
        Ok(())
    }
}

use prost_types::value::Kind;

/// A `google.protobuf.Value` as serde sees it.
struct Tree<'a>(&'a prost_types::Value);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = Options::default();
        match &self.0.kind {
            None | Some(Kind::NullValue(_)) => serializer.serialize_unit(),
            Some(Kind::NumberValue(number)) if !number.is_finite() => {
                Err(S::Error::custom("a google.protobuf.Value can't hold NaN or an infinity in JSON"))
            }
            Some(Kind::NumberValue(number)) => serializer.serialize_f64(*number),
            Some(Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(Kind::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(Kind::StructValue(value)) => Nested::<prost_types::Struct>::write(value, &options, serializer),
            Some(Kind::ListValue(value)) => Nested::<prost_types::ListValue>::write(value, &options, serializer),
        }
    }
}

struct OwnedTree(prost_types::Value);

impl<'de> Deserialize<'de> for OwnedTree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(|kind| Self(prost_types::Value { kind: Some(kind) }))
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::NullValue(0))
    }
    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::NullValue(0))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::BoolValue(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(value as f64))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(value))
    }
    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::StringValue(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Kind, E> {
        Ok(Kind::StringValue(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element::<OwnedTree>()? {
            values.push(value.0);
        }
        Ok(Kind::ListValue(prost_types::ListValue { values }))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, OwnedTree>()? {
            if fields.insert(key, value.0).is_some() {
                return Err(A::Error::custom("a key is given twice"));
            }
        }
        Ok(Kind::StructValue(prost_types::Struct { fields }))
    }
}

const FILE_NAME: Field = Field::new(0, "file_name", "fileName");

impl Message for prost_types::SourceContext {
    const NAME: &'static str = "google.protobuf.SourceContext";
    fn visit<V: Visit>(&self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.singular::<codec::Str>(&FILE_NAME, &self.file_name)
    }
    fn visit_field<V: VisitField>(&mut self, name: &str, visitor: V) -> Result<V::Output, V::Error> {
        match name {
            "file_name" | "fileName" => visitor.singular::<codec::Str>(&FILE_NAME, &mut self.file_name),
            _ => visitor.unknown(name),
        }
    }
}
