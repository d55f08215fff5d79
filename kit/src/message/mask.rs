//! Which fields a JSON body sets: the field mask of a `PATCH`.

use std::collections::HashMap;

use serde_json::Value;

use super::{Codec, Field, KeyCodec, Message, VisitField};

/// The paths, in the names of the `.proto` file, of the fields that a JSON object gives.
///
/// Messages are followed to the fields given inside them; repeated fields, maps and well-known types are one leaf, and so
/// is a message that is given as `null` or `{}` (it is to be cleared). Unknown names are left out.
///
/// ```
/// use kit::message::paths_in_json;
///
/// let body = serde_json::json!({"fileName": "a.proto", "nope": 1});
/// assert_eq!(paths_in_json::<prost_types::SourceContext>(&body), ["file_name"]);
/// ```
pub fn paths_in_json<M: Message>(value: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect(&mut M::default(), value, "", &mut paths, |message, name, visitor| message.visit_field(name, visitor));
    paths
}

/// As [`paths_in_json`], for the value of a field.
pub fn paths_in_field<C: Codec>(value: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect(&mut C::unset(), value, "", &mut paths, |value, name, visitor| C::visit_field(value, name, visitor));
    paths
}

fn collect<T>(
    message: &mut T,
    value: &Value,
    prefix: &str,
    paths: &mut Vec<String>,
    visit: fn(&mut T, &str, Collector<'_>) -> Result<(), std::convert::Infallible>,
) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let Ok(()) = visit(message, name, Collector { value, prefix, paths });
    }
}

struct Collector<'a> {
    value: &'a Value,
    prefix: &'a str,
    paths: &'a mut Vec<String>,
}

impl Collector<'_> {
    fn path(&self, field: &Field) -> String {
        if self.prefix.is_empty() { field.name.to_owned() } else { format!("{}.{}", self.prefix, field.name) }
    }

    fn leaf(self, field: &Field) -> Result<(), std::convert::Infallible> {
        self.paths.push(self.path(field));
        Ok(())
    }

    fn maybe_nested<C: Codec>(self, field: &Field) -> Result<(), std::convert::Infallible> {
        if C::HAS_FIELDS && self.value.as_object().is_some_and(|object| !object.is_empty()) {
            let prefix = self.path(field);
            collect(&mut C::unset(), self.value, &prefix, self.paths, |value, name, visitor| {
                C::visit_field(value, name, visitor)
            });
            return Ok(());
        }
        self.leaf(field)
    }
}

impl VisitField for Collector<'_> {
    type Output = ();
    type Error = std::convert::Infallible;

    fn singular<C: Codec>(self, field: &Field, _: &mut C::Value) -> Result<(), Self::Error> {
        self.leaf(field)
    }
    fn optional<C: Codec>(self, field: &Field, _: &mut Option<C::Value>) -> Result<(), Self::Error> {
        self.maybe_nested::<C>(field)
    }
    fn member<C: Codec, O>(
        self,
        field: &Field,
        _: &mut Option<O>,
        _: fn(C::Value) -> O,
        _: fn(&mut O) -> Option<&mut C::Value>,
    ) -> Result<(), Self::Error> {
        self.maybe_nested::<C>(field)
    }
    fn repeated<C: Codec>(self, field: &Field, _: &mut Vec<C::Value>) -> Result<(), Self::Error> {
        self.leaf(field)
    }
    fn map<K: KeyCodec, C: Codec>(self, field: &Field, _: &mut HashMap<K::Value, C::Value>) -> Result<(), Self::Error> {
        self.leaf(field)
    }
    fn unknown(self, _: &str) -> Result<(), Self::Error> {
        Ok(())
    }
}
