//! What the kit needs to know of a protobuf message: how to walk its fields.
//!
//! prost knows the wire format of a message. Everything else that names fields (JSON, path and query parameters, field
//! masks, command-line flags) works on [`Message`], which `kit-build` implements for every message it generates. The
//! implementation is a table: one line a field, saying its names, its [`Codec`] and its shape. What is done with a field
//! is up to a visitor: [`Visit`] reads all fields of a message, [`VisitField`] changes the one that was asked for.
//!
//! ```
//! use kit::message::{Field, Int64, Message, Str, Visit, VisitField};
//!
//! #[derive(Clone, PartialEq, prost::Message)]
//! struct Book {
//!     #[prost(int64, tag = "1")]
//!     id: i64,
//!     #[prost(string, tag = "2")]
//!     full_name: String,
//! }
//!
//! const ID: Field = Field::new(0, "id", "id");
//! const FULL_NAME: Field = Field::new(1, "full_name", "fullName");
//!
//! impl Message for Book {
//!     const NAME: &'static str = "library.Book";
//!     fn visit<V: Visit>(&self, v: &mut V) -> Result<(), V::Error> {
//!         v.singular::<Int64>(&ID, &self.id)?;
//!         v.singular::<Str>(&FULL_NAME, &self.full_name)
//!     }
//!     fn visit_field<V: VisitField>(&mut self, name: &str, v: V) -> Result<V::Output, V::Error> {
//!         match name {
//!             "id" => v.singular::<Int64>(&ID, &mut self.id),
//!             "full_name" | "fullName" => v.singular::<Str>(&FULL_NAME, &mut self.full_name),
//!             _ => v.unknown(name),
//!         }
//!     }
//! }
//!
//! let book = Book { id: 7, full_name: "Journey to the West".into() };
//! assert_eq!(kit::json::to_string(&book)?, r#"{"id":"7","fullName":"Journey to the West"}"#);
//! # Ok::<(), kit::Error>(())
//! ```

use std::collections::HashMap;

use serde::{Deserializer, Serializer};

use crate::json::{Options, Reader, Scanner};

mod bind;
mod codec;
mod mask;
pub mod rules;
pub(crate) mod stable;
mod well_known;

pub use bind::{BindError, Bound, bind, resolve};
#[cfg(feature = "http")]
pub(crate) use bind::{is_field, set_field};
pub use codec::{
    Bool, Boxed, Bytes, Codec, Double, Enum, Enumeration, Float, Int32, Int64, KeyCodec, Nested, ParseError, Str,
    Uint32, Uint64,
};
pub use mask::{paths_in_field, paths_in_json};

/// The names of a field and its place in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Position in the declaration of the message, from 0; it tells fields apart cheaply.
    pub index: u16,
    /// The name in the `.proto` file.
    pub name: &'static str,
    /// The lowerCamel name, or what `json_name` says.
    pub json_name: &'static str,
}

impl Field {
    /// A field by its position and its two names.
    pub const fn new(index: u16, name: &'static str, json_name: &'static str) -> Self {
        Self { index, name, json_name }
    }
}

/// A protobuf message whose fields can be walked by name.
///
/// Generated for every message; the kit implements it for the well-known types (`()` is `google.protobuf.Empty`, `String`
/// is `google.protobuf.StringValue` and so on, as prost maps them).
pub trait Message: prost::Message + Default + Clone + PartialEq + Sized + 'static {
    /// The full name, with its package: `details.DetailReq`.
    const NAME: &'static str;

    /// True for `google.protobuf.Value` alone: JSON `null` is one of its values, not its absence.
    const NULL_IS_VALUE: bool = false;

    /// True where the JSON form is not an object made of the fields (timestamps, wrappers, ...): such a message is one value
    /// in a query, and one leaf in a field mask.
    const IS_VALUE: bool = false;

    /// Shows every field to `visitor`, in the order of declaration.
    fn visit<V: Visit>(&self, visitor: &mut V) -> Result<(), V::Error>;

    /// Lets `visitor` change the field called `name` (either of its names), or tells it that there is none.
    fn visit_field<V: VisitField>(&mut self, name: &str, visitor: V) -> Result<V::Output, V::Error>;

    /// Writes the canonical JSON. The default writes an object of the fields.
    fn write_json<S: Serializer>(&self, options: &Options, serializer: S) -> Result<S::Ok, S::Error> {
        crate::json::write_object(self, options, serializer)
    }

    /// Writes the same as text at the end of `out`, which is left in any state when that fails. The default writes an object of the
    /// fields, or what [`Message::write_json`] says of a message that [is a value](Message::IS_VALUE).
    fn write_text(&self, options: &Options, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        crate::json::write_text(self, options, out)
    }

    /// Reads canonical JSON into a message that is at its default. The default reads an object of the fields.
    fn read_json<'de, D: Deserializer<'de>>(&mut self, reader: &Reader<'_>, deserializer: D) -> Result<(), D::Error> {
        crate::json::read_object(self, reader, deserializer)
    }

    /// Reads the same from a text, or gives up: then the text is read again by [`Message::read_json`]. The default reads an object of
    /// the fields, or what [`Message::read_json`] makes of a message that [is a value](Message::IS_VALUE).
    fn scan_json(&mut self, scanner: &mut Scanner<'_>) -> Option<()> {
        crate::json::scan_object(self, scanner)
    }

    /// Reads the text of a path variable, a query parameter or a flag. Only messages that are one value have such a form.
    fn parse_text(text: &str) -> Result<Self, ParseError> {
        let _ = text;
        Err(ParseError::of_message(Self::NAME))
    }

    /// Whether the `.proto` file has [rules] for the message, or for one that it may hold: where there are none, checking
    /// costs nothing.
    const HAS_RULES: bool = false;

    /// Checks the fields against the rules. Ask [`rules::validate`] for what comes of it.
    fn check_rules(&self, check: &mut rules::Check<'_>) {
        let _ = check;
    }
}

/// Reads the fields of a message, one call a field.
pub trait Visit {
    /// What stops the walk.
    type Error;
    /// A field without presence.
    fn singular<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Self::Error>;
    /// A field with presence: `optional` or a message.
    fn optional<C: Codec>(&mut self, field: &Field, value: &Option<C::Value>) -> Result<(), Self::Error>;
    /// The member of a oneof that is set.
    fn member<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Self::Error>;
    /// A repeated field.
    fn repeated<C: Codec>(&mut self, field: &Field, values: &[C::Value]) -> Result<(), Self::Error>;
    /// A map field.
    fn map<K: KeyCodec, C: Codec>(
        &mut self,
        field: &Field,
        entries: &HashMap<K::Value, C::Value>,
    ) -> Result<(), Self::Error>;
}

/// Changes one field of a message; exactly one of its methods is called.
pub trait VisitField: Sized {
    /// What the visit gives back.
    type Output;
    /// Why the field could not be changed.
    type Error;
    /// A field without presence.
    fn singular<C: Codec>(self, field: &Field, value: &mut C::Value) -> Result<Self::Output, Self::Error>;
    /// A field with presence: `optional` or a message.
    fn optional<C: Codec>(self, field: &Field, value: &mut Option<C::Value>) -> Result<Self::Output, Self::Error>;
    /// A member of a oneof: `wrap` makes the oneof's value of the member's, `get` gives the member if it is the one set.
    fn member<C: Codec, O>(
        self,
        field: &Field,
        slot: &mut Option<O>,
        wrap: fn(C::Value) -> O,
        get: fn(&mut O) -> Option<&mut C::Value>,
    ) -> Result<Self::Output, Self::Error>;
    /// A repeated field.
    fn repeated<C: Codec>(self, field: &Field, values: &mut Vec<C::Value>) -> Result<Self::Output, Self::Error>;
    /// A map field.
    fn map<K: KeyCodec, C: Codec>(
        self,
        field: &Field,
        entries: &mut HashMap<K::Value, C::Value>,
    ) -> Result<Self::Output, Self::Error>;
    /// The message has no field of that name.
    fn unknown(self, name: &str) -> Result<Self::Output, Self::Error>;
}
