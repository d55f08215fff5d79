//! What of the rules of protovalidate JSON Schema can say: a document that says less is right, one that says more is not.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value as Given};
use serde_json::{Map, Value};

/// Adds the rules of a field to the schema of its value.
pub(super) fn add(field: &FieldDescriptor, schema: &mut Map<String, Value>) {
    let Some(extension) = field.parent_pool().get_extension_by_name("buf.validate.field") else { return };
    let options = field.options();
    if !options.has_extension(&extension) {
        return;
    }
    if let Some(rules) = options.get_extension(&extension).as_message() {
        of_field(rules, field, schema);
    }
}

fn of_field(rules: &DynamicMessage, field: &FieldDescriptor, schema: &mut Map<String, Value>) {
    // A value of zero that the rules don't hold for would need a choice of schemas.
    if rules.get_field_by_name("ignore").is_some_and(|ignore| ignore.as_enum_number() != Some(0)) {
        return;
    }
    for (kind, body) in rules.fields() {
        let Some(body) = body.as_message() else { continue };
        match (kind.name(), field.kind()) {
            ("string", Kind::String) if !field.is_list() => string(body, schema),
            ("int32" | "sint32" | "sfixed32", Kind::Int32 | Kind::Sint32 | Kind::Sfixed32) if !field.is_list() => {
                number(body, schema);
            }
            ("uint32" | "fixed32", Kind::Uint32 | Kind::Fixed32) if !field.is_list() => number(body, schema),
            ("repeated", _) if field.is_list() => {
                copy(body, &[("min_items", "minItems"), ("max_items", "maxItems"), ("unique", "uniqueItems")], schema)
            }
            ("map", _) if field.is_map() => {
                copy(body, &[("min_pairs", "minProperties"), ("max_pairs", "maxProperties")], schema);
            }
            _ => {}
        }
    }
}

fn string(body: &DynamicMessage, schema: &mut Map<String, Value>) {
    let keys = [("const", "const"), ("len", "minLength"), ("len", "maxLength"), ("min_len", "minLength")];
    copy(body, &keys, schema);
    copy(body, &[("max_len", "maxLength"), ("in", "enum"), ("pattern", "pattern")], schema);
    // JSON Schema has the expressions of ECMAScript, which know neither flags nor classes nor anchors of RE2.
    let is_foreign =
        |text: &str| ["(?", "[:", "\\A", "\\z", "\\p", "\\P", "\\Q"].iter().any(|part| text.contains(part));
    if schema.get("pattern").and_then(Value::as_str).is_some_and(is_foreign) {
        schema.remove("pattern");
    }
    let formats = [
        ("email", "email"),
        ("hostname", "hostname"),
        ("ipv4", "ipv4"),
        ("ipv6", "ipv6"),
        ("uri", "uri"),
        ("uri_ref", "uri-reference"),
        ("uuid", "uuid"),
    ];
    for (name, format) in formats {
        if given(body, name).is_some_and(|given| given.as_bool() == Some(true)) {
            schema.insert("format".into(), format.into());
        }
    }
}

fn number(body: &DynamicMessage, schema: &mut Map<String, Value>) {
    let keys = [
        ("const", "const"),
        ("in", "enum"),
        ("gt", "exclusiveMinimum"),
        ("gte", "minimum"),
        ("lt", "exclusiveMaximum"),
        ("lte", "maximum"),
    ];
    let limit =
        |names: [&str; 2]| names.iter().find_map(|name| given(body, name)).and_then(|given| json(&given)?.as_i64());
    let is_reversed = limit(["gt", "gte"]).zip(limit(["lt", "lte"])).is_some_and(|(lower, upper)| lower > upper);
    copy(body, if is_reversed { &keys[..2] } else { &keys }, schema);
}

fn copy(body: &DynamicMessage, keys: &[(&str, &str)], schema: &mut Map<String, Value>) {
    for (name, key) in keys {
        if let Some(value) = given(body, name).and_then(|given| json(&given)) {
            schema.insert((*key).to_owned(), value);
        }
    }
}

fn given(body: &DynamicMessage, name: &str) -> Option<Given> {
    let field = body.descriptor().get_field_by_name(name)?;
    body.has_field(&field).then(|| body.get_field(&field).into_owned())
}

fn json(given: &Given) -> Option<Value> {
    Some(match given {
        Given::Bool(value) => (*value).into(),
        Given::I32(value) => (*value).into(),
        Given::U32(value) => (*value).into(),
        Given::U64(value) => (*value).into(),
        Given::String(text) => text.as_str().into(),
        Given::List(values) => values.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        _ => return None,
    })
}
