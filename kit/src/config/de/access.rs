//! What the deserializer hands to the visitors of lists, maps and enums.

use serde::de::{self, DeserializeSeed, EnumAccess, VariantAccess, Visitor};

use super::{De, DeError, Path};
use crate::config::tree::{Entry, Node, Text, Value};

/// The elements of a list.
pub(super) struct ListAccess<'n> {
    pub(super) items: std::slice::Iter<'n, Node>,
    pub(super) index: usize,
    pub(super) path: &'n Path<'n>,
}

impl<'de> de::SeqAccess<'de> for ListAccess<'_> {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DeError> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        let path = &Path::Index(self.path, self.index);
        self.index += 1;
        seed.deserialize(De { node, path }).map(Some).map_err(|error| error.at(node, path))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The entries of a map, as fields of a struct or as they are.
pub(super) struct TableAccess<'n> {
    pub(super) entries: std::slice::Iter<'n, Entry>,
    pub(super) value: Option<&'n Entry>,
    pub(super) path: &'n Path<'n>,
}

impl<'de> de::MapAccess<'de> for TableAccess<'_> {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DeError> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(entry);
        deserialize_key(entry, self.path, seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        let Some(entry) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let (node, path) = (&entry.node, &Path::Key(self.path, &entry.key));
        seed.deserialize(De { node, path }).map_err(|error| error.at(node, path))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key is text that may stand for a number or a variant, just as a variable of the environment.
fn deserialize_key<'de, K: DeserializeSeed<'de>>(entry: &Entry, path: &Path<'_>, seed: K) -> Result<K::Value, DeError> {
    let (text, is_string) = (entry.key.clone(), true);
    let node = &Node::new(Value::Text(Text { text, is_string }), entry.origin.clone());
    let path = &Path::Key(path, &entry.key);
    seed.deserialize(De { node, path }).map_err(|error| error.at_key(entry, path))
}

/// `variant: content`.
pub(super) struct Variant<'n> {
    pub(super) entry: &'n Entry,
    pub(super) path: &'n Path<'n>,
}

impl<'n, 'de> EnumAccess<'de> for Variant<'n> {
    type Error = DeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DeError> {
        Ok((deserialize_key(self.entry, self.path, seed)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        self.newtype_variant_seed(std::marker::PhantomData)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DeError> {
        let (node, path) = (&self.entry.node, &Path::Key(self.path, &self.entry.key));
        seed.deserialize(De { node, path }).map_err(|error| error.at(node, path))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DeError> {
        let (node, path) = (&self.entry.node, &Path::Key(self.path, &self.entry.key));
        De { node, path }.sequence(visitor).map_err(|error| error.at(node, path))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let (node, path) = (&self.entry.node, &Path::Key(self.path, &self.entry.key));
        De { node, path }.table(visitor).map_err(|error| error.at(node, path))
    }
}
