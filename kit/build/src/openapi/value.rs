//! Schemas of values that have a form of their own: scalars and well-known types.

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Value, json};

/// The schema of a scalar as canonical JSON writes it; none for messages and enums.
pub(super) fn scalar(kind: &Kind) -> Option<Value> {
    Some(match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]+$" })
        }
        Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64", "pattern": "^[0-9]+$" }),
        Kind::Double => float("double"),
        Kind::Float => float("float"),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::Message(_) | Kind::Enum(_) => return None,
    })
}

fn float(format: &str) -> Value {
    json!({
        "anyOf": [{ "type": "number", "format": format }, { "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] }],
    })
}

/// Allows `null` beside what a schema allows.
pub(super) fn nullable(mut schema: Value) -> Value {
    let null = json!({ "type": "null" });
    // An enum, a constant or a reference restricts the value whatever its type says.
    let restricted = ["enum", "const", "$ref"].iter().any(|key| schema.get(key).is_some());
    match schema.get("type") {
        _ if schema == null => {}
        _ if restricted => return json!({ "anyOf": [schema, null] }),
        Some(Value::String(kind)) => schema["type"] = json!([kind, "null"]),
        _ => {
            if let Some(Value::Array(choices)) = schema.get_mut("anyOf")
                && !choices.contains(&null)
            {
                choices.push(null);
            }
        }
    }
    schema
}

/// An object with one member for each entry of a map.
pub(super) fn map(key: &Kind, values: Value) -> Value {
    let keys = match key {
        Kind::Bool => json!({ "enum": ["true", "false"] }),
        Kind::String => return json!({ "type": "object", "additionalProperties": values }),
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => json!({ "pattern": "^[0-9]+$" }),
        _ => json!({ "pattern": "^-?[0-9]+$" }),
    };
    json!({ "type": "object", "propertyNames": keys, "additionalProperties": values })
}

/// The name of a well-known type within its package.
fn well_known_name(message: &MessageDescriptor) -> Option<&str> {
    message.full_name().strip_prefix("google.protobuf.")
}

fn wrapped(name: &str) -> Option<Value> {
    scalar(&match name {
        "BoolValue" => Kind::Bool,
        "Int32Value" => Kind::Int32,
        "Int64Value" => Kind::Int64,
        "UInt32Value" => Kind::Uint32,
        "UInt64Value" => Kind::Uint64,
        "FloatValue" => Kind::Float,
        "DoubleValue" => Kind::Double,
        "StringValue" => Kind::String,
        "BytesValue" => Kind::Bytes,
        _ => return None,
    })
}

/// The well-known types that can be written as a path variable or a query parameter.
pub(super) fn well_known_text(message: &MessageDescriptor) -> Option<Value> {
    let name = well_known_name(message)?;
    Some(match name {
        "Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "Duration" => json!({ "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["1.5s"] }),
        "FieldMask" => json!({
            "type": "string",
            "description": "Paths of fields in lowerCamel names, separated by commas.",
            "examples": ["name,author.firstName"],
        }),
        _ => return wrapped(name),
    })
}

/// The JSON form of a well-known type, other than `Any`, which is worth a name in the document.
pub(super) fn well_known(message: &MessageDescriptor) -> Option<Value> {
    let name = well_known_name(message)?;
    Some(match name {
        "Struct" => json!({ "type": "object", "additionalProperties": true }),
        "Value" => json!({ "description": "Any JSON value." }),
        "ListValue" => json!({ "type": "array", "items": {} }),
        "Empty" => json!({ "type": "object" }),
        _ => match wrapped(name) {
            Some(schema) => nullable(schema),
            None => return well_known_text(message),
        },
    })
}

/// Whether a message is one value, or one with no fields, rather than an object of its fields.
pub(super) fn is_well_known(message: &MessageDescriptor) -> bool {
    message.full_name() == ANY || well_known(message).is_some()
}

/// The full name of `Any`.
pub(super) const ANY: &str = "google.protobuf.Any";

/// What `Any` looks like whatever it holds.
pub(super) fn any() -> Value {
    json!({
        "type": "object",
        "description": "A message of any type: `@type` says which, beside the message's own fields. \
                        A type that is not an object in JSON, such as a timestamp, is in `value`.",
        "properties": { "@type": { "type": "string", "examples": ["type.googleapis.com/google.rpc.ErrorInfo"] } },
        "additionalProperties": true,
    })
}
