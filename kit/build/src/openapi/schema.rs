//! The schemas of messages and enums, and which of them a document needs.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value, json};

use super::{comment, query, rules, value};

const STATUS: &str = "google.rpc.Status";
// No protobuf name has a hyphen.
const STREAM_ERROR: &str = "stream-error";
const NULL_VALUE: &str = "google.protobuf.NullValue";

/// The schemas that were referred to so far, by full name.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    by_name: BTreeMap<String, Value>,
}

impl Schemas {
    /// `components/schemas`, by name.
    pub(super) fn into_components(self) -> Map<String, Value> {
        self.by_name.into_iter().collect()
    }

    /// A reference to the schema of this name, which is made when it is not there yet.
    fn reference(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.by_name.contains_key(name) {
            // First of all the name: messages refer to themselves.
            self.by_name.insert(name.to_owned(), Value::Null);
            let schema = make(self);
            self.by_name.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// The answer to a call that failed.
    pub(super) fn status(&mut self) -> Value {
        self.reference(STATUS, |schemas| {
            let any = schemas.any();
            json!({
                "type": "object",
                "description": "Why a call failed.",
                "properties": {
                    "code": {
                        "type": "integer",
                        "format": "int32",
                        "description": "The gRPC code: 3 is INVALID_ARGUMENT, 5 is NOT_FOUND, 14 is UNAVAILABLE.",
                    },
                    "message": { "type": "string", "description": "What went wrong, for a person." },
                    "details": {
                        "type": "array",
                        "description": "What went wrong, for a program.",
                        "items": any,
                    },
                },
            })
        })
    }

    /// The last value of a stream that failed after it began.
    pub(super) fn stream_error(&mut self) -> Value {
        self.reference(STREAM_ERROR, |schemas| {
            json!({
                "type": "object",
                "description": "The last value of a stream that failed on the way.",
                "properties": { "error": schemas.status() },
                "required": ["error"],
            })
        })
    }

    fn any(&mut self) -> Value {
        self.reference(value::ANY, |_| value::any())
    }

    /// The JSON of a message: a reference, except for the well-known types that are one short schema.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            value::ANY => return self.any(),
            STATUS => return self.status(),
            _ => {}
        }
        match value::well_known(message) {
            Some(schema) => schema,
            None => self.reference(message.full_name(), |schemas| schemas.object(message)),
        }
    }

    fn object(&mut self, message: &MessageDescriptor) -> Value {
        let mut properties = Map::new();
        for field in query::fields(message) {
            properties.insert(field.json_name().to_owned(), self.property(&field));
        }
        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        comment::describe(&mut schema, &comment::of_message(message));
        if message.descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            schema.insert("deprecated".into(), true.into());
        }
        if !properties.is_empty() {
            schema.insert("properties".into(), properties.into());
        }
        let excluded = exclusions(message);
        if !excluded.is_empty() {
            schema.insert("dependentSchemas".into(), excluded.into());
        }
        schema.into()
    }

    fn property(&mut self, field: &FieldDescriptor) -> Value {
        let mut text = comment::of_field(field);
        comment::append(&mut text, &self.oneof_note(field));
        let schema = self.field(field);
        let Value::Object(mut schema) = schema else { return schema };
        comment::describe(&mut schema, &text);
        rules::add(field, &mut schema);
        if query::is_deprecated(field) {
            schema.insert("deprecated".into(), true.into());
        }
        schema.into()
    }

    /// The JSON of a field's value, without what is said of the field.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let values = self.kind(&entry.map_entry_value_field().kind());
                value::map(&entry.map_entry_key_field().kind(), values)
            }
            kind if field.is_list() => json!({ "type": "array", "items": self.kind(&kind) }),
            kind => self.kind(&kind),
        }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Message(message) => self.message(message),
            Kind::Enum(kind) if kind.full_name() == NULL_VALUE => json!({ "type": "null" }),
            Kind::Enum(kind) => self.enumeration(kind),
            scalar => value::scalar(scalar).unwrap_or_default(),
        }
    }

    /// A value as a path variable or a query parameter; none for what has no text form.
    pub(super) fn text(&mut self, kind: &Kind) -> Option<Value> {
        match kind {
            Kind::Message(message) => value::well_known_text(message),
            // The only value it has, and no schema of JSON's null.
            Kind::Enum(kind) if kind.full_name() == NULL_VALUE => {
                Some(json!({ "type": "string", "const": "NULL_VALUE" }))
            }
            Kind::Enum(kind) => Some(self.enumeration(kind)),
            scalar => value::scalar(scalar),
        }
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) -> Value {
        self.reference(kind.full_name(), |_| {
            let mut schema = Map::new();
            schema.insert("type".into(), "string".into());
            comment::describe(&mut schema, &comment::of_enum(kind));
            if kind.enum_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
                schema.insert("deprecated".into(), true.into());
            }
            schema.insert("enum".into(), names(kind).into());
            schema.into()
        })
    }

    /// Says of a member of a oneof what it excludes.
    pub(super) fn oneof_note(&self, field: &FieldDescriptor) -> String {
        let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) else { return String::new() };
        let members: Vec<_> = members(&oneof).iter().map(|name| format!("`{name}`")).collect();
        // The schema has the rest; each member of a long oneof naming all of them would drown the document.
        const NAMED: usize = 8;
        let mut note = match members.len() {
            1..=NAMED => format!("At most one of {} is set (oneof `{}`).", members.join(", "), oneof.name()),
            _ => format!("At most one member of the oneof `{}` is set.", oneof.name()),
        };
        comment::append(&mut note, &comment::of_oneof(&oneof));
        note
    }
}

/// In the order of declaration; the descriptor has them by number.
fn names(kind: &EnumDescriptor) -> Vec<String> {
    let values = &kind.enum_descriptor_proto().value;
    values.iter().map(|value| value.name().to_owned()).collect()
}

fn members(oneof: &OneofDescriptor) -> Vec<String> {
    let mut fields: Vec<_> = oneof.fields().collect();
    fields.sort_by_key(|field| field.path().last().copied());
    fields.iter().map(|field| field.json_name().to_owned()).collect()
}

/// For each member of a oneof but the last: those behind it must not stand beside it. Said with `dependentSchemas`
/// because generators of clients make a choice of types out of `oneOf`, which such a message is not.
fn exclusions(message: &MessageDescriptor) -> Map<String, Value> {
    let mut excluded = Map::new();
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let mut members = members(&oneof).into_iter();
        while let Some(member) = members.next() {
            let others: Map<_, _> = members.clone().map(|other| (other, Value::Bool(false))).collect();
            if !others.is_empty() {
                excluded.insert(member, json!({ "properties": others }));
            }
        }
    }
    excluded
}
