//! Sets fields from texts: path variables, query parameters, flags.

use std::{collections::HashMap, fmt};

use super::{Codec, Field, KeyCodec, Message, ParseError, VisitField};

/// Why a text could not be put into a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindError {
    /// The message (or one on the way) has no field of this name.
    Unknown {
        /// The name, or the part of the path, that is not there.
        name: String,
    },
    /// The field is a map, and the path has no key.
    NeedsKey {
        /// The path of the map.
        path: String,
    },
    /// The text is not a value of the field's type, or the field can't be set that way.
    Invalid(ParseError),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => write!(f, "there is no field {name:?}"),
            Self::NeedsKey { path } => write!(f, "{path} is a map: write {path}[key]"),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

/// Puts `text` into the field at `path`; returns the path in the names of the `.proto` file, and whether the field takes
/// more than one value.
///
/// `path` has the names of fields, in either form, joined by dots; a key of a map is written `field[key]`. A repeated field
/// grows by one.
///
/// ```
/// use kit::message::bind;
///
/// let mut context = prost_types::SourceContext::default();
/// let bound = bind(&mut context, "fileName", "a.proto").unwrap();
/// assert_eq!((bound.path.as_str(), context.file_name.as_str()), ("file_name", "a.proto"));
/// assert!(bind(&mut context, "nope", "1").is_err());
/// ```
///
/// # Errors
/// The name that is unknown, or why the text does not fit.
pub fn bind<M: Message>(message: &mut M, path: &str, text: &str) -> Result<Bound, BindError> {
    visit(message, path, Some(text))
}

/// The path in the names of the `.proto` file, and whether the field takes more than one value; nothing is changed.
///
/// # Errors
/// The name that is unknown.
pub fn resolve<M: Message>(path: &str) -> Result<Bound, BindError> {
    visit(&mut M::default(), path, None)
}

/// Whether a path is no more than the name of a field, as most are.
#[cfg(feature = "http")]
pub(crate) fn is_field(path: &str) -> bool {
    !path.bytes().any(|b| matches!(b, b'.' | b'[' | b']'))
}

/// As [`bind`] for the name of a field, without a path to tell: what a request has most is put in its place without an allocation
/// of its own. `None` when the field is there and `wanted` says no; nothing is changed then.
#[cfg(feature = "http")]
pub(crate) fn set_field<M: Message>(
    message: &mut M,
    name: &str,
    text: &str,
    wanted: impl FnOnce(&Field) -> bool,
) -> Result<Option<BoundField>, BindError> {
    message.visit_field(name, Setter { text, wanted })
}

/// Where a text went.
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoundField {
    /// The name of the field in the `.proto` file.
    pub(crate) name: &'static str,
    /// Whether it is repeated.
    pub(crate) many: bool,
}

#[cfg(feature = "http")]
struct Setter<'a, W> {
    text: &'a str,
    wanted: W,
}

#[cfg(feature = "http")]
impl<W: FnOnce(&Field) -> bool> Setter<'_, W> {
    fn value<C: Codec>(self, field: &Field) -> Result<Option<C::Value>, BindError> {
        if (self.wanted)(field) { C::parse(self.text).map(Some).map_err(BindError::Invalid) } else { Ok(None) }
    }
}

#[cfg(feature = "http")]
fn one(field: &Field) -> Option<BoundField> {
    Some(BoundField { name: field.name, many: false })
}

#[cfg(feature = "http")]
impl<W: FnOnce(&Field) -> bool> VisitField for Setter<'_, W> {
    type Output = Option<BoundField>;
    type Error = BindError;

    fn singular<C: Codec>(self, field: &Field, value: &mut C::Value) -> Result<Option<BoundField>, BindError> {
        let Some(parsed) = self.value::<C>(field)? else { return Ok(None) };
        *value = parsed;
        Ok(one(field))
    }

    fn optional<C: Codec>(self, field: &Field, value: &mut Option<C::Value>) -> Result<Option<BoundField>, BindError> {
        let Some(parsed) = self.value::<C>(field)? else { return Ok(None) };
        *value = Some(parsed);
        Ok(one(field))
    }

    fn member<C: Codec, O>(
        self,
        field: &Field,
        slot: &mut Option<O>,
        wrap: fn(C::Value) -> O,
        get: fn(&mut O) -> Option<&mut C::Value>,
    ) -> Result<Option<BoundField>, BindError> {
        let Self { text, wanted } = self;
        if !wanted(field) {
            return Ok(None);
        }
        let member = match slot {
            None => None,
            Some(set) => match get(set) {
                Some(value) => Some(value),
                None => return Err(other_member(field.name)),
            },
        };
        let parsed = C::parse(text).map_err(BindError::Invalid)?;
        match member {
            Some(value) => *value = parsed,
            None => *slot = Some(wrap(parsed)),
        }
        Ok(one(field))
    }

    fn repeated<C: Codec>(self, field: &Field, values: &mut Vec<C::Value>) -> Result<Option<BoundField>, BindError> {
        let Some(parsed) = self.value::<C>(field)? else { return Ok(None) };
        values.push(parsed);
        Ok(Some(BoundField { name: field.name, many: true }))
    }

    fn map<K: KeyCodec, C: Codec>(
        self,
        field: &Field,
        _: &mut HashMap<K::Value, C::Value>,
    ) -> Result<Option<BoundField>, BindError> {
        Err(BindError::NeedsKey { path: field.name.to_owned() })
    }

    fn unknown(self, name: &str) -> Result<Option<BoundField>, BindError> {
        Err(BindError::Unknown { name: name.to_owned() })
    }
}

fn other_member(path: &str) -> BindError {
    invalid(format!("{path} and another field of its oneof: give one of them"))
}

fn visit<M: Message>(message: &mut M, path: &str, text: Option<&str>) -> Result<Bound, BindError> {
    let mut bound = Bound { path: String::with_capacity(path.len()), many: false };
    let (path, key) = match path.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((path, key)) => (path, Some(key)),
        None => (path, None),
    };
    // A path is walked by recursion, one level a dot: what a caller sends must not decide how deep.
    const DEEPEST: usize = 64;
    if path.bytes().filter(|b| *b == b'.').count() >= DEEPEST {
        return Err(invalid(format!("a path of more than {DEEPEST} fields")));
    }
    let (first, rest) = split(path);
    message.visit_field(first, Binder { rest, key, text, bound: &mut bound })?;
    Ok(bound)
}

/// Where a text went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The path in the names of the `.proto` file; of a map, with the key.
    pub path: String,
    /// Whether the field is repeated.
    pub many: bool,
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    }
}

fn invalid(message: impl Into<String>) -> BindError {
    BindError::Invalid(ParseError::new(message))
}

struct Binder<'a> {
    rest: Option<&'a str>,
    key: Option<&'a str>,
    // None: only the path is wanted.
    text: Option<&'a str>,
    bound: &'a mut Bound,
}

impl<'a> Binder<'a> {
    fn enter(&mut self, field: &Field) {
        if !self.bound.path.is_empty() {
            self.bound.path.push('.');
        }
        self.bound.path.push_str(field.name);
    }

    fn leaf(&self) -> Result<(), BindError> {
        match (self.rest, self.key) {
            (Some(_), _) => {
                Err(invalid(format!("{} is not a single message: it has no fields to name", self.bound.path)))
            }
            (_, Some(_)) => Err(invalid(format!("{} is not a map: it takes no [key]", self.bound.path))),
            (None, None) => Ok(()),
        }
    }

    /// Sets a value, or a field of it; the value was made by the caller and is dropped if this fails.
    fn set<C: Codec>(self, value: &mut C::Value) -> Result<(), BindError> {
        if C::HAS_FIELDS
            && let Some(rest) = self.rest
        {
            let (first, rest) = split(rest);
            return C::visit_field(value, first, Binder { rest, ..self });
        }
        self.leaf()?;
        if let Some(text) = self.text {
            *value = C::parse(text).map_err(BindError::Invalid)?;
        }
        Ok(())
    }
}

impl VisitField for Binder<'_> {
    type Output = ();
    type Error = BindError;

    fn singular<C: Codec>(mut self, field: &Field, value: &mut C::Value) -> Result<(), BindError> {
        self.enter(field);
        self.set::<C>(value)
    }

    fn optional<C: Codec>(mut self, field: &Field, value: &mut Option<C::Value>) -> Result<(), BindError> {
        self.enter(field);
        self.set::<C>(value.get_or_insert_with(C::unset))
    }

    fn member<C: Codec, O>(
        mut self,
        field: &Field,
        slot: &mut Option<O>,
        wrap: fn(C::Value) -> O,
        get: fn(&mut O) -> Option<&mut C::Value>,
    ) -> Result<(), BindError> {
        self.enter(field);
        match slot {
            None => {
                let mut value = C::unset();
                self.set::<C>(&mut value)?;
                *slot = Some(wrap(value));
                Ok(())
            }
            Some(set) => match get(set) {
                Some(value) => self.set::<C>(value),
                None => Err(other_member(&self.bound.path)),
            },
        }
    }

    fn repeated<C: Codec>(mut self, field: &Field, values: &mut Vec<C::Value>) -> Result<(), BindError> {
        self.enter(field);
        self.leaf()?;
        self.bound.many = true;
        if let Some(text) = self.text {
            values.push(C::parse(text).map_err(BindError::Invalid)?);
        }
        Ok(())
    }

    fn map<K: KeyCodec, C: Codec>(
        mut self,
        field: &Field,
        entries: &mut HashMap<K::Value, C::Value>,
    ) -> Result<(), BindError> {
        self.enter(field);
        let (Some(key), None) = (self.key, self.rest) else {
            return Err(BindError::NeedsKey { path: self.bound.path.clone() });
        };
        self.bound.path.push_str(&format!("[{key}]"));
        let key = K::parse(key).map_err(BindError::Invalid)?;
        if let Some(text) = self.text {
            entries.insert(key, C::parse(text).map_err(BindError::Invalid)?);
        }
        Ok(())
    }

    fn unknown(self, name: &str) -> Result<(), BindError> {
        Err(BindError::Unknown { name: name.to_owned() })
    }
}
