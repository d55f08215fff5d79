//! Changing settings by hand.

use serde_json::Value;

use super::RateLimitConfig;
use crate::Error;

/// The settings with what an object says in their place (`null` for the default), and whether debts are to be forgiven.
pub(super) fn changed(config: &RateLimitConfig, changes: &Value) -> Result<(RateLimitConfig, bool), Error> {
    let wrong = |why: String| Error::invalid_argument(format!("rate limit: {why}"));
    let Value::Object(changes) = changes else {
        return Err(wrong("a change is an object such as {\"limit\": 20} or {\"reset\": true}".to_owned()));
    };
    let mut changes = changes.clone();
    let reset = match changes.remove("reset") {
        None => false,
        Some(Value::Bool(reset)) => reset,
        Some(other) => return Err(wrong(format!("reset is {other}, must be true or false"))),
    };
    let mut settings = serde_json::to_value(config).map_err(|error| wrong(error.to_string()))?;
    merge(&mut settings, Value::Object(changes));
    Ok((serde_json::from_value(settings).map_err(|error| wrong(error.to_string()))?, reset))
}

/// As RFC 7396 does it.
fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, change) in changes {
                if change.is_null() {
                    into.remove(&name);
                } else {
                    merge(into.entry(name).or_insert(Value::Null), change);
                }
            }
        }
        (into, changes) => *into = changes,
    }
}
