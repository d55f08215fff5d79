//! Flags into a request message.

use clap::{ArgMatches, parser::ValueSource};
use serde_json::{Map, Value};

use super::Failure;
use crate::{
    Message,
    json::{self, Options, UnknownFields},
    message::{BindError, bind},
};

/// Sets what the flags say on top of a message; says whether there were any.
pub(super) fn apply<M: Message>(message: &mut M, matches: &ArgMatches) -> Result<bool, Failure> {
    let mut any = false;
    for id in matches.ids() {
        let Some(path) = id.as_str().strip_prefix("field:") else { continue };
        if matches.value_source(id.as_str()) != Some(ValueSource::CommandLine) {
            continue;
        }
        for text in matches.get_many::<String>(id.as_str()).into_iter().flatten() {
            any = true;
            set(message, path, text)?;
        }
    }
    Ok(any)
}

fn set<M: Message>(message: &mut M, path: &str, text: &str) -> Result<(), Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::Usage(format!("--{}: {e}", path.replace('_', "-")));
    let error = match bind(message, path, text) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    match &error {
        // A map has no form of its own: the flag says key and value at once.
        BindError::NeedsKey { .. } => match text.split_once('=') {
            Some((key, value)) => bind(message, &format!("{path}[{key}]"), value).map(drop).map_err(|e| wrong(&e)),
            None => Err(wrong(&format!("{text:?} has no key: write KEY=VALUE"))),
        },
        // A message has none either: it is given as JSON.
        BindError::Invalid(reason) if reason.needs_fields() => match serde_json::from_str::<Value>(text) {
            Ok(value) => set_json(message, path, value).map_err(|e| wrong(&e)),
            Err(e) => Err(wrong(&format!("{text:?} is not JSON: {e}"))),
        },
        _ => Err(wrong(&error)),
    }
}

/// Puts JSON at a path: into a list it is added, elsewhere it replaces what was there.
fn set_json<M: Message>(message: &mut M, path: &str, value: Value) -> Result<(), String> {
    let sparse = Options { omit_defaults: true, proto_names: true, ..Options::default() };
    let strict = Options { unknown_fields: UnknownFields::Reject, ..Options::default() };
    let tree = json::to_value(message, &sparse).map_err(|e| e.to_string())?;
    let read = |list: bool| {
        let mut tree = tree.clone();
        let mut place = &mut tree;
        for part in path.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = place.as_object_mut()?.entry(part).or_insert(Value::Null);
        }
        match (place, list) {
            (Value::Array(items), true) => items.push(value.clone()),
            (place, true) => *place = Value::Array(vec![value.clone()]),
            (place, false) => *place = value.clone(),
        }
        Some(json::from_value::<M>(tree, &strict))
    };
    let one = read(false).ok_or("the path leads through something that is no message")?;
    match one {
        Ok(changed) => *message = changed,
        Err(error) => match read(true) {
            Some(Ok(changed)) => *message = changed,
            _ => return Err(error.message().to_owned()),
        },
    }
    Ok(())
}
