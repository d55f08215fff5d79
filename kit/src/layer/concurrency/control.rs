//! What the debug port may do with the settings of a limit.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::Error;

/// The settings with some changed: members of `changes` replace those of the same name, inside of objects too.
pub(crate) fn merged<C: Serialize + DeserializeOwned>(current: &C, changes: &Value) -> Result<C, Error> {
    if !changes.is_object() {
        return Err(Error::invalid_argument("the settings to change are a JSON object"));
    }
    let mut settings = serde_json::to_value(current)
        .map_err(|error| Error::internal("the settings can't be written").with_source(error))?;
    merge(&mut settings, changes);
    serde_json::from_value(settings).map_err(|error| Error::invalid_argument(error.to_string()))
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(into.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// The error for settings that can't be.
pub(crate) fn refused((key, why): (&'static str, String)) -> Error {
    Error::invalid_argument(format!("{key} {why}")).with_field_violation(key, why)
}
