//! What the debug port may change.

use serde_json::Value;

use super::FaultConfig;
use crate::Error;

/// The settings with some changed, by the rules of a merge patch (RFC 7396): `null` brings a default back, and turns a fault off.
pub(super) fn merged(config: &FaultConfig, change: &Value) -> Result<FaultConfig, Error> {
    if !change.is_object() {
        return Err(Error::invalid_argument("give an object with the settings to change"));
    }
    let mut settings =
        serde_json::to_value(config).map_err(|e| Error::internal("the settings can't be written").with_source(e))?;
    merge(&mut settings, change);
    serde_json::from_value(settings).map_err(|e| Error::invalid_argument(format!("fault: {e}")))
}

fn merge(into: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *into = change.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Value::Object(into) = into else { return };
    for (key, change) in change {
        if change.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}
