use std::{borrow::Cow, cell::RefCell, collections::HashMap, fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Options, UnknownFields};
use crate::{
    Error,
    message::{Codec, Field, KeyCodec, Message, VisitField},
};

/// What a reading carries along: its options, and the path to the field that failed.
#[derive(Debug)]
pub struct Reader<'a> {
    options: &'a Options,
    // Filled from the inside out, and only when something failed: a reading that succeeds pays nothing for it.
    failed: RefCell<Vec<String>>,
}

impl<'a> Reader<'a> {
    /// A reading with these options.
    pub fn new(options: &'a Options) -> Self {
        Self { options, failed: RefCell::default() }
    }

    /// How to read.
    pub fn options(&self) -> &'a Options {
        self.options
    }

    fn at<T, E>(&self, place: impl FnOnce() -> String, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.failed.borrow_mut().push(place());
        }
        result
    }

    /// The error for the caller, with the path of the field.
    pub(crate) fn error(&self, error: &serde_json::Error) -> Error {
        let mut path = String::new();
        for part in self.failed.borrow().iter().rev() {
            if !path.is_empty() && !part.starts_with('[') {
                path.push('.');
            }
            path.push_str(part);
        }
        if path.is_empty() {
            Error::invalid_argument(format!("invalid JSON: {error}"))
        } else {
            Error::invalid_argument(format!("invalid JSON: {path}: {error}"))
                .with_field_violation(path, error.to_string())
        }
    }
}

pub(crate) fn read_message<'de, M: Message, D: Deserializer<'de>>(
    reader: &Reader<'_>,
    deserializer: D,
) -> Result<M, D::Error> {
    let mut message = M::default();
    message.read_json(reader, deserializer)?;
    Ok(message)
}

/// Reads an object of fields into a message: the default of [`Message::read_json`].
pub fn read_object<'de, M: Message, D: Deserializer<'de>>(
    message: &mut M,
    reader: &Reader<'_>,
    deserializer: D,
) -> Result<(), D::Error> {
    deserializer.deserialize_map(ObjectVisitor { message, reader })
}

struct ObjectVisitor<'a, 'r, M> {
    message: &'a mut M,
    reader: &'a Reader<'r>,
}

impl<'de, M: Message> Visitor<'de> for ObjectVisitor<'_, '_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", M::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(name) = map.next_key_seed(Name)? {
            let place = || name.clone().into_owned();
            let field = FieldReader { input: PhantomData, map: &mut map, reader: self.reader, seen: &mut seen };
            self.reader.at(place, self.message.visit_field(&name, field))?;
        }
        Ok(())
    }
}

/// Reads a key without a copy where the text allows it.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        super::scalar::read_text(deserializer)
    }
}

/// The fields that were read: a second one is an error.
#[derive(Default)]
pub(super) struct Seen {
    first: u128,
    // Only messages with more than 128 fields come here.
    rest: Vec<u16>,
}

impl Seen {
    pub(super) fn insert(&mut self, index: u16) -> bool {
        match 1u128.checked_shl(u32::from(index)) {
            Some(bit) => {
                let new = self.first & bit == 0;
                self.first |= bit;
                new
            }
            None => {
                let new = !self.rest.contains(&index);
                self.rest.push(index);
                new
            }
        }
    }
}

struct FieldReader<'de, 'a, 'r, A> {
    input: PhantomData<&'de ()>,
    map: &'a mut A,
    reader: &'a Reader<'r>,
    seen: &'a mut Seen,
}

impl<'de, A: MapAccess<'de>> FieldReader<'de, '_, '_, A> {
    fn first_time(&mut self, field: &Field) -> Result<(), A::Error> {
        if self.seen.insert(field.index) { Ok(()) } else { Err(A::Error::custom("the field is given twice")) }
    }

    fn nullable<C: Codec>(&mut self, field: &Field) -> Result<Option<C::Value>, A::Error> {
        self.first_time(field)?;
        if C::NULL_IS_VALUE {
            self.map.next_value_seed(Value::<C>::new(self.reader)).map(Some)
        } else {
            self.map.next_value_seed(Nullable(Value::<C>::new(self.reader)))
        }
    }
}

impl<'de, A: MapAccess<'de>> VisitField for FieldReader<'de, '_, '_, A> {
    type Output = ();
    type Error = A::Error;

    fn singular<C: Codec>(mut self, field: &Field, value: &mut C::Value) -> Result<(), A::Error> {
        if let Some(read) = self.nullable::<C>(field)? {
            *value = read;
        }
        Ok(())
    }

    fn optional<C: Codec>(mut self, field: &Field, value: &mut Option<C::Value>) -> Result<(), A::Error> {
        *value = self.nullable::<C>(field)?;
        Ok(())
    }

    fn member<C: Codec, O>(
        mut self,
        field: &Field,
        slot: &mut Option<O>,
        wrap: fn(C::Value) -> O,
        _: fn(&mut O) -> Option<&mut C::Value>,
    ) -> Result<(), A::Error> {
        if let Some(read) = self.nullable::<C>(field)? {
            if slot.is_some() {
                return Err(A::Error::custom("another field of the same oneof is given too: give one of them"));
            }
            *slot = Some(wrap(read));
        }
        Ok(())
    }

    fn repeated<C: Codec>(mut self, field: &Field, values: &mut Vec<C::Value>) -> Result<(), A::Error> {
        self.first_time(field)?;
        if let Some(read) = self.map.next_value_seed(Nullable(List::<C>(Value::new(self.reader))))? {
            *values = read;
        }
        Ok(())
    }

    fn map<K: KeyCodec, C: Codec>(
        mut self,
        field: &Field,
        entries: &mut HashMap<K::Value, C::Value>,
    ) -> Result<(), A::Error> {
        self.first_time(field)?;
        if let Some(read) = self.map.next_value_seed(Nullable(Entries::<K, C>(self.reader, PhantomData)))? {
            *entries = read;
        }
        Ok(())
    }

    fn unknown(self, _: &str) -> Result<(), A::Error> {
        match self.reader.options.unknown_fields {
            UnknownFields::Ignore => self.map.next_value::<IgnoredAny>().map(drop),
            UnknownFields::Reject => Err(A::Error::custom("the message has no such field")),
        }
    }
}

/// A value of a codec.
struct Value<'a, 'r, C>(&'a Reader<'r>, PhantomData<C>);

impl<'a, 'r, C> Value<'a, 'r, C> {
    fn new(reader: &'a Reader<'r>) -> Self {
        Self(reader, PhantomData)
    }
}

impl<'de, C: Codec> DeserializeSeed<'de> for Value<'_, '_, C> {
    type Value = C::Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<C::Value, D::Error> {
        C::read(self.0, deserializer)
    }
}

/// What the seed reads, or `null`.
struct Nullable<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

struct List<'a, 'r, C>(Value<'a, 'r, C>);

impl<'de, C: Codec> DeserializeSeed<'de> for List<'_, '_, C> {
    type Value = Vec<C::Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, C: Codec> Visitor<'de> for List<'_, '_, C> {
    type Value = Vec<C::Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let reader = (self.0).0;
        let mut values = Vec::new();
        loop {
            let next = seq.next_element_seed(Value::<C>::new(reader));
            match reader.at(|| format!("[{}]", values.len()), next)? {
                Some(value) => values.push(value),
                None => return Ok(values),
            }
        }
    }
}

struct Entries<'a, 'r, K, C>(&'a Reader<'r>, PhantomData<(K, C)>);

impl<'de, K: KeyCodec, C: Codec> DeserializeSeed<'de> for Entries<'_, '_, K, C> {
    type Value = HashMap<K::Value, C::Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, K: KeyCodec, C: Codec> Visitor<'de> for Entries<'_, '_, K, C> {
    type Value = HashMap<K::Value, C::Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = HashMap::new();
        while let Some(text) = map.next_key_seed(Name)? {
            let place = || format!("[{text:?}]");
            let key = self.0.at(place, K::parse(&text).map_err(A::Error::custom))?;
            let value = self.0.at(place, map.next_value_seed(Value::<C>::new(self.0)))?;
            if entries.insert(key, value).is_some() {
                return self.0.at(place, Err(A::Error::custom("the key is given twice")));
            }
        }
        Ok(entries)
    }
}

/// Reads a whole document, without a word when it can't be read.
pub(super) fn read_document_with<'de, T>(
    bytes: &'de [u8],
    read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> Result<T, serde_json::Error>,
) -> Option<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = read(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// Reads a whole document by a seed.
fn read_document<'de, S: DeserializeSeed<'de>>(
    bytes: &'de [u8],
    reader: &Reader<'_>,
    seed: S,
) -> Result<S::Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = seed.deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    read.map_err(|e| reader.error(&e))
}

/// Reads one value, or `null`: the body of a rule that names a field.
#[cfg(feature = "http")]
pub(crate) fn read_value<C: Codec>(bytes: &[u8], options: &Options) -> Result<Option<C::Value>, Error> {
    let reader = Reader::new(options);
    if C::NULL_IS_VALUE {
        read_document(bytes, &reader, Value::<C>::new(&reader)).map(Some)
    } else {
        read_document(bytes, &reader, Nullable(Value::<C>::new(&reader)))
    }
}

/// Reads an array, or `null`: the body of a rule that names a repeated field.
#[cfg(feature = "http")]
pub(crate) fn read_list<C: Codec>(bytes: &[u8], options: &Options) -> Result<Vec<C::Value>, Error> {
    let reader = Reader::new(options);
    read_document(bytes, &reader, Nullable(List::<C>(Value::new(&reader)))).map(Option::unwrap_or_default)
}

/// Reads an object, or `null`: the body of a rule that names a map.
#[cfg(feature = "http")]
pub(crate) fn read_map<K: KeyCodec, C: Codec>(
    bytes: &[u8],
    options: &Options,
) -> Result<HashMap<K::Value, C::Value>, Error> {
    let reader = Reader::new(options);
    read_document(bytes, &reader, Nullable(Entries::<K, C>(&reader, PhantomData))).map(Option::unwrap_or_default)
}

/// Reads a message at the top of a document.
pub(crate) fn read_top<M: Message>(bytes: &[u8], options: &Options) -> Result<M, Error> {
    match super::plain::read(bytes, options) {
        Some(message) => Ok(message),
        None => read_by_serde(bytes, options),
    }
}

/// The same for a text of any kind.
pub(super) fn read_by_serde<M: Message>(bytes: &[u8], options: &Options) -> Result<M, Error> {
    let reader = Reader::new(options);
    read_document(bytes, &reader, Value::<crate::message::Nested<M>>::new(&reader))
}
