//! Writes one field of a message: a rule's `response_body`.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Options,
    write::{Entries, Many, One},
};
use crate::message::{Codec, Field, KeyCodec, Message, Visit};

/// Writes the one field of a message that `name` asks for: a rule's `response_body`.
pub(crate) fn write_field<M: Message>(
    message: &M,
    name: &str,
    options: &Options,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut writer = FieldWriter { name, options, out: None };
    message.visit(&mut writer)?;
    Ok(writer.out.unwrap_or_else(|| b"null".to_vec()))
}

struct FieldWriter<'a> {
    name: &'a str,
    options: &'a Options,
    out: Option<Vec<u8>>,
}

impl FieldWriter<'_> {
    fn write(&mut self, field: &Field, value: &impl Serialize) -> Result<(), serde_json::Error> {
        if field.name == self.name {
            self.out = Some(serde_json::to_vec(value)?);
        }
        Ok(())
    }
}

impl Visit for FieldWriter<'_> {
    type Error = serde_json::Error;

    fn singular<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Self::Error> {
        self.write(field, &One::<C> { value, options: self.options })
    }
    fn optional<C: Codec>(&mut self, field: &Field, value: &Option<C::Value>) -> Result<(), Self::Error> {
        match value {
            Some(value) => self.write(field, &One::<C> { value, options: self.options }),
            // An answer that is one message is an object even when the message is not set, as gateways do.
            None if C::HAS_FIELDS => self.write(field, &serde_json::Map::new()),
            None => Ok(()),
        }
    }
    fn member<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Self::Error> {
        self.write(field, &One::<C> { value, options: self.options })
    }
    fn repeated<C: Codec>(&mut self, field: &Field, values: &[C::Value]) -> Result<(), Self::Error> {
        self.write(field, &Many::<C> { values, options: self.options })
    }
    fn map<K: KeyCodec, C: Codec>(
        &mut self,
        field: &Field,
        entries: &HashMap<K::Value, C::Value>,
    ) -> Result<(), Self::Error> {
        self.write(field, &Entries::<K, C> { entries, options: self.options })
    }
}
