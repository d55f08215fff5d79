//! Writes the text of a message straight into a buffer. It says what [`write_object`](super::write_object) says through serde_json,
//! byte for byte; what has a form of its own goes that way.

use std::collections::HashMap;

use serde::Serialize;

use super::{Options, Written, write::One};
use crate::message::{Codec, Field, KeyCodec, Message, Visit};

/// What can't be written.
type Failed = serde_json::Error;

/// Writes a message as an object of its fields: the default of [`Message::write_text`].
pub fn write_text<M: Message>(message: &M, options: &Options, out: &mut Vec<u8>) -> Result<(), Failed> {
    if M::IS_VALUE {
        return through_serde(&Written(message, options), out);
    }
    let mut object = Object { out, options, first: true };
    message.visit(&mut object)?;
    let first = object.first;
    out.extend_from_slice(if first { b"{}" } else { b"}" });
    Ok(())
}

pub(crate) fn through_serde<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Failed> {
    serde_json::to_writer(out, value)
}

/// Writes what serde says of a value: the default of [`Codec::write_text`].
pub(crate) fn value<C: Codec>(value: &C::Value, options: &Options, out: &mut Vec<u8>) -> Result<(), Failed> {
    through_serde(&One::<C> { value, options }, out)
}

/// Writes a string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) -> Result<(), Failed> {
    if has_escapes(text.as_bytes()) {
        return through_serde(text, out);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}

fn has_escapes(text: &[u8]) -> bool {
    // Without a way out of the inner loop it is done on many bytes at a time.
    let found = |part: &[u8]| part.iter().fold(false, |found, b| found | (*b < 0x20) | (*b == b'"') | (*b == b'\\'));
    let (parts, rest) = text.as_chunks::<16>();
    let (eights, rest) = rest.as_chunks::<8>();
    parts.iter().any(|part| found(part)) || eights.iter().any(|part| found(part)) || found(rest)
}

/// Writes a number in quotes.
pub(crate) fn quoted<N: Serialize>(number: &N, out: &mut Vec<u8>) -> Result<(), Failed> {
    out.push(b'"');
    through_serde(number, out)?;
    out.push(b'"');
    Ok(())
}

struct Object<'a> {
    out: &'a mut Vec<u8>,
    options: &'a Options,
    first: bool,
}

impl Object<'_> {
    fn name(&mut self, field: &Field) -> Result<(), Failed> {
        let name = if self.options.proto_names { field.name } else { field.json_name };
        let begin = if self.first { b"{\"" } else { b",\"" };
        self.first = false;
        if has_escapes(name.as_bytes()) {
            self.out.push(begin[0]);
            through_serde(name, self.out)?;
            self.out.push(b':');
            return Ok(());
        }
        self.out.reserve(name.len() + 4);
        self.out.extend_from_slice(begin);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        Ok(())
    }

    fn field<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Failed> {
        self.name(field)?;
        C::write_text(value, self.options, self.out)
    }
}

impl Visit for Object<'_> {
    type Error = Failed;

    fn singular<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Failed> {
        if self.options.omit_defaults && C::is_unset(value) {
            return Ok(());
        }
        self.field::<C>(field, value)
    }

    fn optional<C: Codec>(&mut self, field: &Field, value: &Option<C::Value>) -> Result<(), Failed> {
        match value {
            Some(value) => self.field::<C>(field, value),
            None => Ok(()),
        }
    }

    fn member<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Failed> {
        self.field::<C>(field, value)
    }

    fn repeated<C: Codec>(&mut self, field: &Field, values: &[C::Value]) -> Result<(), Failed> {
        if self.options.omit_defaults && values.is_empty() {
            return Ok(());
        }
        self.name(field)?;
        self.out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            C::write_text(value, self.options, self.out)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn map<K: KeyCodec, C: Codec>(
        &mut self,
        field: &Field,
        entries: &HashMap<K::Value, C::Value>,
    ) -> Result<(), Failed> {
        if self.options.omit_defaults && entries.is_empty() {
            return Ok(());
        }
        self.name(field)?;
        self.out.push(b'{');
        // Sorted, so that equal messages have equal texts: caches, signatures and tests compare them.
        let mut entries: Vec<_> = entries.iter().map(|(key, value)| (K::key(key), value)).collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            string(key, self.out)?;
            self.out.push(b':');
            C::write_text(value, self.options, self.out)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_what_serde_makes_of_it() {
        let mut texts: Vec<String> =
            ["", "plain", "罗贯中", "a\"b", "\\", "line\nend", "\u{7f}\u{2028}"].map(str::to_owned).into();
        // The odd byte at any place of a part and of what is left.
        for at in 0..40 {
            for odd in ['"', '\\', '\u{1}', '\u{1f}', ' '] {
                let mut text = "a".repeat(40);
                text.insert(at, odd);
                texts.push(text);
            }
        }
        for text in texts {
            let mut out = Vec::new();
            string(&text, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
