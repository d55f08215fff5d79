//! Fills a configuration from the merged tree; errors know the key and where it was set.

mod access;
mod error;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, Unexpected, Visitor};

use self::access::{ListAccess, TableAccess, Variant};
pub(super) use self::error::{DeError, Path};
use super::tree::{Entry, Node, Text, Value};

/// Reads one node of the tree.
pub(super) struct De<'n> {
    pub(super) node: &'n Node,
    pub(super) path: &'n Path<'n>,
}

impl<'n> De<'n> {
    /// Null has no type of its own: serde would call it a unit value, which nobody wrote.
    fn null<'de, V: Visitor<'de>>(visitor: &V) -> DeError {
        de::Error::invalid_type(Unexpected::Other("null"), visitor)
    }

    fn list<'de, V: Visitor<'de>>(items: &[Node], path: &Path<'_>, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_seq(ListAccess { items: items.iter(), index: 0, path })
    }

    fn map<'de, V: Visitor<'de>>(entries: &[Entry], path: &Path<'_>, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_map(TableAccess { entries: entries.iter(), value: None, path })
    }

    /// Text that starts like an inline list or map, as the tree it describes.
    fn inline(&self, text: &str) -> Result<Node, DeError> {
        let origin = self.node.origin.clone();
        Node::parse(text, &|_| origin.clone())
            .map_err(|problem| de::Error::custom(format_args!("not inline YAML: {}", problem.message())))
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => Err(Self::null(&visitor)),
            Value::Text(Text { text, .. }) => match (text.trim().parse::<i128>(), text.trim().parse::<f64>()) {
                (Ok(number), _) => visit_int(number, visitor),
                (_, Ok(number)) => visitor.visit_f64(number),
                _ => Err(de::Error::invalid_type(Unexpected::Str(text), &visitor)),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn string<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => Err(Self::null(&visitor)),
            Value::Bool(_, text) | Value::Int(_, text) | Value::Float(_, text) | Value::Text(Text { text, .. }) => {
                visitor.visit_str(text)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn sequence<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            // A key whose list was commented out.
            Value::Null => Self::list(&[], self.path, visitor),
            Value::Text(Text { text, is_string }) => match text.trim() {
                "" => Self::list(&[], self.path, visitor),
                inline if inline.starts_with('[') => {
                    let node = self.inline(inline)?;
                    De { node: &node, ..self }.deserialize_any(visitor)
                }
                pieces => {
                    let item = |piece: &str| {
                        let (text, is_string) = (piece.trim().to_owned(), *is_string);
                        Node::new(Value::Text(Text { text, is_string }), self.node.origin.clone())
                    };
                    let items: Vec<Node> = pieces.split(',').map(item).collect();
                    Self::list(&items, self.path, visitor)
                }
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn table<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            // A section whose keys were all commented out.
            Value::Null => Self::map(&[], self.path, visitor),
            Value::Text(Text { text, .. }) => match text.trim() {
                inline if inline.starts_with('{') => {
                    let node = self.inline(inline)?;
                    De { node: &node, ..self }.deserialize_any(visitor)
                }
                // Not repeated: a section may hold secrets.
                _ => Err(de::Error::invalid_type(Unexpected::Other("text"), &visitor)),
            },
            _ => self.deserialize_any(visitor),
        }
    }
}

fn visit_int<'de, V: Visitor<'de>>(number: i128, visitor: V) -> Result<V::Value, DeError> {
    if let Ok(number) = u64::try_from(number) {
        visitor.visit_u64(number)
    } else if let Ok(number) = i64::try_from(number) {
        visitor.visit_i64(number)
    } else {
        visitor.visit_i128(number)
    }
}

macro_rules! forward {
    ($($method:ident => $to:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
            self.$to(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for De<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value, _) => visitor.visit_bool(*value),
            Value::Int(value, _) => visit_int(*value, visitor),
            Value::Float(value, _) => visitor.visit_f64(*value),
            Value::Str(text) => visitor.visit_str(text),
            Value::Seq(items) => Self::list(items, self.path, visitor),
            Value::Map(entries) => Self::map(entries, self.path, visitor),
            Value::Text(Text { text, is_string: true }) => visitor.visit_str(text),
            // Nothing is known about the type, so the text decides, as it would in YAML.
            Value::Text(Text { text, .. }) => match text.trim() {
                "null" => visitor.visit_unit(),
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                inline if inline.starts_with(['[', '{']) => {
                    let node = self.inline(inline)?;
                    De { node: &node, ..self }.deserialize_any(visitor)
                }
                trimmed => match (trimmed.parse::<i128>(), trimmed.parse::<f64>()) {
                    (Ok(number), _) => visit_int(number, visitor),
                    // The words `inf` and `nan` are more likely meant as words.
                    (_, Ok(number)) if number.is_finite() => visitor.visit_f64(number),
                    _ => visitor.visit_str(text),
                },
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => Err(Self::null(&visitor)),
            Value::Text(Text { text, .. }) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => visitor.visit_bool(true),
                "false" | "0" | "no" | "off" => visitor.visit_bool(false),
                _ => Err(de::Error::invalid_type(Unexpected::Str(text), &visitor)),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    forward! {
        deserialize_i8 => number, deserialize_i16 => number,
        deserialize_i32 => number, deserialize_i64 => number,
        deserialize_i128 => number, deserialize_u8 => number,
        deserialize_u16 => number, deserialize_u32 => number,
        deserialize_u64 => number, deserialize_u128 => number,
        deserialize_f32 => number, deserialize_f64 => number,
        deserialize_char => string, deserialize_str => string,
        deserialize_string => string, deserialize_bytes => string,
        deserialize_byte_buf => string, deserialize_identifier => string,
        deserialize_seq => sequence, deserialize_map => table,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            Value::Text(Text { text, .. }) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Text(Text { text, .. }) if text.is_empty() => visitor.visit_unit(),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DeError> {
        self.sequence(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        self.sequence(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        self.table(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Text(Text { text, .. }) if text.trim_start().starts_with('{') => {
                let node = self.inline(text)?;
                De { node: &node, ..self }.deserialize_enum(name, variants, visitor)
            }
            Value::Str(text)
            | Value::Bool(_, text)
            | Value::Int(_, text)
            | Value::Float(_, text)
            | Value::Text(Text { text, .. }) => {
                let variant: StrDeserializer<'_, DeError> = text.trim().into_deserializer();
                visitor.visit_enum(variant)
            }
            Value::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant { entry, path: self.path }),
                _ => Err(de::Error::custom(format_args!(
                    "expected exactly one key, the variant: {}",
                    variants.join(", ")
                ))),
            },
            Value::Null => Err(Self::null(&visitor)),
            Value::Seq(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_unit()
    }
}
