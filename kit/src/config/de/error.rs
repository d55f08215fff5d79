//! Errors of serde's that know where the wrong value was set.

use std::fmt;

use serde::de;

use crate::config::error::{Origin, Problem};
use crate::config::tree::{Entry, Node};

/// The way from the root to a value, borrowed from the stack of the calls that lead there.
pub(in crate::config) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// As printed: `peers[0].url`.
    fn print(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(Path::Root, key) => (*key).to_owned(),
            Self::Key(parent, key) => format!("{}.{key}", parent.print()),
            Self::Index(parent, index) => format!("{}[{index}]", parent.print()),
        }
    }

    /// The keys up to the first list: what can be taken out of the tree.
    fn keys(&self) -> Vec<String> {
        match self {
            Self::Root => Vec::new(),
            // A list is taken out as a whole, so that nothing moves to another index.
            Self::Index(parent, _) => parent.keys(),
            Self::Key(parent, _) if parent.has_index() => parent.keys(),
            Self::Key(parent, key) => {
                let mut keys = parent.keys();
                keys.push((*key).to_owned());
                keys
            }
        }
    }

    fn has_index(&self) -> bool {
        match self {
            Self::Root => false,
            Self::Index(..) => true,
            Self::Key(parent, _) => parent.has_index(),
        }
    }
}

/// An error of serde's, with its place once it is known.
#[derive(Debug)]
pub(in crate::config) struct DeError {
    message: String,
    /// The field that the message is about, when it was raised by the struct around it.
    field: Option<String>,
    place: Option<Box<Place>>,
}

#[derive(Debug)]
struct Place {
    origin: Origin,
    key: String,
    keys: Vec<String>,
}

impl DeError {
    /// Adds the place, unless it has one: the innermost is right.
    pub(in crate::config) fn at(mut self, node: &Node, path: &Path<'_>) -> Self {
        if self.place.is_none() {
            let field = self.field.take();
            let entry = field.as_deref().and_then(|field| node.entry(field));
            let origin = entry.map_or(&node.origin, |entry| &entry.origin);
            let key;
            let path = match &field {
                Some(field) => {
                    key = Path::Key(path, field);
                    &key
                }
                None => path,
            };
            self.set_place(origin, path);
        }
        self
    }

    pub(super) fn at_key(mut self, entry: &Entry, path: &Path<'_>) -> Self {
        if self.place.is_none() {
            self.set_place(&entry.origin, path);
        }
        self
    }

    fn set_place(&mut self, origin: &Origin, path: &Path<'_>) {
        self.place = Some(Box::new(Place { origin: origin.clone(), key: path.print(), keys: path.keys() }));
    }

    /// The keys that lead to the wrong value; empty for the whole configuration.
    pub(in crate::config) fn keys(&self) -> &[String] {
        self.place.as_ref().map_or(&[], |place| &place.keys)
    }

    pub(in crate::config) fn into_problem(self) -> Problem {
        match self.place {
            Some(place) => Problem::new(Some(place.origin), place.key, self.message),
            None => Problem::new(None, "", self.message),
        }
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), field: None, place: None }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = match expected {
            [] => format!("unknown field `{field}`, there are no fields"),
            [one] => format!("unknown field `{field}`, expected `{one}`"),
            [one, two] => format!("unknown field `{field}`, expected `{one}` or `{two}`"),
            all => {
                let all: Vec<String> = all.iter().map(|name| format!("`{name}`")).collect();
                format!("unknown field `{field}`, expected one of {}", all.join(", "))
            }
        };
        Self { field: Some(field.to_owned()), ..Self::custom(message) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { field: Some(field.to_owned()), ..Self::custom(format_args!("missing field `{field}`")) }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self { field: Some(field.to_owned()), ..Self::custom(format_args!("duplicate field `{field}`")) }
    }
}
