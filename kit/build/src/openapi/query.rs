//! Query parameters: the fields of a request that neither the path nor the body holds.

use std::collections::HashSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{comment, paths::Binding, schema::Schemas, value};
use crate::rule::RuleBody;

/// Messages that refer to each other in many ways have more paths through them than anyone could read.
const MOST: usize = 500;

/// The field of a message by either of its names.
pub(super) fn field_named(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

/// The fields in the order of declaration; the descriptor has them by number.
pub(super) fn fields(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(|field| field.path().last().copied());
    fields
}

/// Whether a field is marked as deprecated.
pub(super) fn is_deprecated(field: &FieldDescriptor) -> bool {
    field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated())
}

/// The query parameters of a binding, and whether there are more than a document lists.
pub(super) fn parameters(binding: &Binding<'_>, schemas: &mut Schemas) -> (Vec<Value>, bool) {
    let body = match &binding.rule.body {
        RuleBody::All => return (Vec::new(), false),
        RuleBody::None => None,
        RuleBody::Field(name) => Some(name.as_str()),
    };
    let input = binding.method.input();
    let mut bound: HashSet<String> =
        binding.wildcards.iter().filter_map(|w| w.fills.as_ref()).map(|fills| fills.path.clone()).collect();
    bound.extend(body.and_then(|name| field_named(&input, name)).map(|field| field.json_name().to_owned()));
    let mask = binding.rule.field_mask.as_deref().and_then(|name| field_named(&input, name));

    let mut walk = Walk { bound, mask, schemas, entered: vec![input.clone()], found: Vec::new(), cut: false };
    walk.message(&input, "");
    (walk.found, walk.cut)
}

struct Walk<'a> {
    /// Paths that the rule binds elsewhere.
    bound: HashSet<String>,
    /// The field mask that is filled from the body.
    mask: Option<FieldDescriptor>,
    schemas: &'a mut Schemas,
    /// The messages that the walk is inside of: it does not enter one a second time.
    entered: Vec<MessageDescriptor>,
    found: Vec<Value>,
    /// Whether something was left out because there is so much.
    cut: bool,
}

impl Walk<'_> {
    fn message(&mut self, message: &MessageDescriptor, prefix: &str) {
        for field in fields(message) {
            let path = format!("{prefix}{}", field.json_name());
            if self.bound.contains(&path) {
                continue;
            }
            if self.found.len() >= MOST {
                self.cut = true;
                return;
            }
            match field.kind() {
                Kind::Message(inner) if !field.is_list() && !field.is_map() && !value::is_well_known(&inner) => {
                    if !self.entered.contains(&inner) {
                        self.entered.push(inner.clone());
                        self.message(&inner, &format!("{path}."));
                        self.entered.pop();
                    }
                }
                _ => {
                    let parameter = self.leaf(&field, path);
                    self.found.extend(parameter);
                }
            }
        }
    }

    /// Nothing for fields whose values can't be written as text.
    fn leaf(&mut self, field: &FieldDescriptor, path: String) -> Option<Value> {
        let (style, schema) = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let values = self.schemas.text(&entry.map_entry_value_field().kind())?;
                (Some("deepObject"), value::map(&entry.map_entry_key_field().kind(), values))
            }
            kind if field.is_list() => (Some("form"), json!({ "type": "array", "items": self.schemas.text(&kind)? })),
            kind => (None, self.schemas.text(&kind)?),
        };
        let mut text = comment::of_field(field);
        if self.mask.as_ref() == Some(field) {
            comment::append(&mut text, "When it is left out, it names the fields that the body has.");
        }
        if field.is_map() {
            comment::append(&mut text, &format!("Written as `{path}[key]=value`."));
        }
        comment::append(&mut text, &self.schemas.oneof_note(field));
        let mut parameter = Map::new();
        parameter.insert("name".into(), path.into());
        parameter.insert("in".into(), "query".into());
        comment::describe(&mut parameter, &text);
        if is_deprecated(field) {
            parameter.insert("deprecated".into(), true.into());
        }
        if let Some(style) = style {
            parameter.insert("style".into(), style.into());
            parameter.insert("explode".into(), true.into());
        }
        parameter.insert("schema".into(), schema);
        Some(parameter.into())
    }
}
