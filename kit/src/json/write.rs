use std::collections::HashMap;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use super::Options;
use crate::message::{Codec, Field, KeyCodec, Message, Visit};

/// Writes a message as an object of its fields: the default of [`Message::write_json`].
pub fn write_object<M: Message, S: Serializer>(
    message: &M,
    options: &Options,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut object = ObjectWriter { map: serializer.serialize_map(None)?, options };
    message.visit(&mut object)?;
    object.map.end()
}

struct ObjectWriter<'a, M> {
    map: M,
    options: &'a Options,
}

impl<M: SerializeMap> ObjectWriter<'_, M> {
    fn entry<V: Serialize>(&mut self, field: &Field, value: &V) -> Result<(), M::Error> {
        let name = if self.options.proto_names { field.name } else { field.json_name };
        self.map.serialize_entry(name, value)
    }
}

impl<M: SerializeMap> Visit for ObjectWriter<'_, M> {
    type Error = M::Error;

    fn singular<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), M::Error> {
        if self.options.omit_defaults && C::is_unset(value) {
            return Ok(());
        }
        self.entry(field, &One::<C> { value, options: self.options })
    }

    fn optional<C: Codec>(&mut self, field: &Field, value: &Option<C::Value>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.entry(field, &One::<C> { value, options: self.options }),
            None => Ok(()),
        }
    }

    fn member<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), M::Error> {
        self.entry(field, &One::<C> { value, options: self.options })
    }

    fn repeated<C: Codec>(&mut self, field: &Field, values: &[C::Value]) -> Result<(), M::Error> {
        if self.options.omit_defaults && values.is_empty() {
            return Ok(());
        }
        self.entry(field, &Many::<C> { values, options: self.options })
    }

    fn map<K: KeyCodec, C: Codec>(
        &mut self,
        field: &Field,
        entries: &HashMap<K::Value, C::Value>,
    ) -> Result<(), M::Error> {
        if self.options.omit_defaults && entries.is_empty() {
            return Ok(());
        }
        self.entry(field, &Entries::<K, C> { entries, options: self.options })
    }
}

pub(super) struct One<'a, C: Codec> {
    pub(super) value: &'a C::Value,
    pub(super) options: &'a Options,
}

impl<C: Codec> Serialize for One<'_, C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        C::write(self.value, self.options, serializer)
    }
}

pub(super) struct Many<'a, C: Codec> {
    pub(super) values: &'a [C::Value],
    pub(super) options: &'a Options,
}

impl<C: Codec> Serialize for Many<'_, C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.values.len()))?;
        for value in self.values {
            seq.serialize_element(&One::<C> { value, options: self.options })?;
        }
        seq.end()
    }
}

pub(super) struct Entries<'a, K: KeyCodec, C: Codec> {
    pub(super) entries: &'a HashMap<K::Value, C::Value>,
    pub(super) options: &'a Options,
}

impl<K: KeyCodec, C: Codec> Serialize for Entries<'_, K, C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Sorted, so that equal messages have equal texts: caches, signatures and tests compare them.
        let mut entries: Vec<_> = self.entries.iter().map(|(key, value)| (K::key(key), value)).collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut map = serializer.serialize_map(Some(entries.len()))?;
        for (key, value) in entries {
            map.serialize_entry(key.as_ref(), &One::<C> { value, options: self.options })?;
        }
        map.end()
    }
}
