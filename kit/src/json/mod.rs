//! Canonical proto3 JSON of generated messages, written and read without reflection.
//!
//! serde_json does the tokens; this module knows what protobuf says about them: 64-bit integers are strings, enums are
//! names, bytes are base64, timestamps and the other well-known types have forms of their own, both names of a field are
//! read, `null` is the absence of a value.
//!
//! ```
//! use kit::json::{self, Options, UnknownFields};
//!
//! let wait: prost_types::Duration = json::from_str(r#""1.5s""#)?;
//! assert_eq!(json::to_string(&wait)?, r#""1.500s""#);
//!
//! let strict = Options { unknown_fields: UnknownFields::Reject, ..Options::default() };
//! let refused = json::from_slice::<prost_types::SourceContext>(br#"{"nope":1}"#, &strict).unwrap_err();
//! assert!(refused.message().contains("nope"));
//! # Ok::<(), kit::Error>(())
//! ```

use std::cell::Cell;

use crate::{Code, Error, Message};

#[cfg(feature = "http")]
mod field;
pub(crate) mod plain;
mod read;
mod registry;
pub(crate) mod scalar;
pub(crate) mod text;
mod write;

#[cfg(feature = "http")]
pub(crate) use field::write_field;
pub use plain::{Scanner, scan_object};
use read::read_message;
pub use read::{Reader, read_object};
#[cfg(feature = "http")]
pub(crate) use read::{read_list, read_map, read_value};
pub use registry::Registry;
pub use text::write_text;
pub use write::write_object;

/// What a field that the message does not have does to the reading of a JSON object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// It is skipped, so that clients and servers can be upgraded in any order. The default, as in every gateway.
    #[default]
    Ignore,
    /// It is an error that names it.
    Reject,
}

/// How JSON is written and read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What to do with unknown fields in what is read. Default: ignore.
    pub unknown_fields: UnknownFields,
    /// Leaves fields without presence out when they are at their default. Default: false, they are written.
    pub omit_defaults: bool,
    /// Writes the names of the `.proto` file instead of lowerCamel ones. Default: false.
    pub proto_names: bool,
    /// The message types that `google.protobuf.Any` may hold. The well-known types are always there.
    pub registry: Registry,
}

/// A message to write with options: serde's view of it.
#[derive(Debug)]
pub struct Written<'a, M>(pub &'a M, pub &'a Options);

impl<M: Message> serde::Serialize for Written<'_, M> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write_json(self.1, serializer)
    }
}

/// The JSON of a message on one line.
///
/// # Errors
/// `INTERNAL` when the message has no JSON form: a timestamp out of range, an `Any` of a type that is not registered.
pub fn to_string<M: Message>(message: &M) -> Result<String, Error> {
    let text = written(message, &Options::default(), |text| str::from_utf8(text).map(str::to_owned))?;
    text.map_err(|e| unwritable::<M>(&e))
}

/// The JSON of a message as bytes on one line.
///
/// # Errors
/// As [`to_string`].
pub fn to_vec<M: Message>(message: &M, options: &Options) -> Result<Vec<u8>, Error> {
    written(message, options, <[u8]>::to_vec)
}

/// The same, to be sent.
#[cfg(feature = "http")]
pub(crate) fn to_bytes<M: Message>(message: &M, options: &Options) -> Result<bytes::Bytes, Error> {
    written(message, options, bytes::Bytes::copy_from_slice)
}

thread_local! {
    // A text is written where there is room, and then copied: one allocation of just its size, whatever grows on the way.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The most room that a thread keeps: more than most answers need, and little beside its stack.
const KEPT: usize = 64 * 1024;

fn written<M: Message, T>(message: &M, options: &Options, take: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
    // Taken, not borrowed: whoever is called by the writing may write, too. On a thread that ends there is none.
    let mut room = ROOM.try_with(Cell::take).unwrap_or_default();
    room.clear();
    let taken = match message.write_text(options, &mut room) {
        Ok(()) => Ok(take(&room)),
        Err(error) => Err(unwritable::<M>(&error)),
    };
    if room.capacity() <= KEPT {
        let _ = ROOM.try_with(|kept| kept.set(room));
    }
    taken
}

/// The JSON of a message as a tree.
///
/// # Errors
/// As [`to_string`].
pub fn to_value<M: Message>(message: &M, options: &Options) -> Result<serde_json::Value, Error> {
    serde_json::to_value(Written(message, options)).map_err(|e| unwritable::<M>(&e))
}

/// Reads a message with the default options.
///
/// # Errors
/// `INVALID_ARGUMENT` that says the field, what was wrong with it, and where.
pub fn from_str<M: Message>(text: &str) -> Result<M, Error> {
    from_slice(text.as_bytes(), &Options::default())
}

/// Reads a message.
///
/// # Errors
/// `INVALID_ARGUMENT` that says the field, what was wrong with it, and where. Nesting deeper than 128 is refused.
pub fn from_slice<M: Message>(bytes: &[u8], options: &Options) -> Result<M, Error> {
    read::read_top(bytes, options)
}

/// Reads a message from a tree.
///
/// # Errors
/// As [`from_slice`], without a place.
pub fn from_value<M: Message>(value: serde_json::Value, options: &Options) -> Result<M, Error> {
    let reader = Reader::new(options);
    read_message(&reader, value).map_err(|e: serde_json::Error| reader.error(&e))
}

/// What a `serde::Deserialize` of a message calls; `kit-build` generates it.
pub fn deserialize<'de, M: Message, D: serde::Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    let options = Options::default();
    read_message(&Reader::new(&options), deserializer)
}

/// What a `serde::Serialize` of a message calls; `kit-build` generates it.
pub fn serialize<M: Message, S: serde::Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
    message.write_json(&Options::default(), serializer)
}

fn unwritable<M: Message>(error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Internal, "the answer has no JSON form").with_log(format!("writing {} as JSON: {error}", M::NAME))
}
