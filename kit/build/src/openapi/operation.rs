//! One operation: parameters, body and responses of a method under one of its rules.

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{comment, path::Wildcard, paths::Binding, query, schema::Schemas, value};
use crate::rule::RuleBody;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

/// The operation of a binding under `path`, whose parameters have these names.
pub(super) fn operation(binding: &Binding<'_>, names: &[String], path: &str, schemas: &mut Schemas) -> Value {
    let Binding { tag, method, rule, id, wildcards, .. } = binding;
    let mut operation = Map::new();
    operation.insert("tags".into(), json!([tag]));
    let text = comment::of_method(method);
    let summary = comment::summary(&text);
    if !summary.is_empty() {
        operation.insert("summary".into(), summary.as_str().into());
    }
    if text.trim_end_matches('.').replace('\n', " ") != summary {
        comment::describe(&mut operation, &text);
    }
    operation.insert("operationId".into(), id.as_str().into());
    let options = method.method_descriptor_proto().options.as_ref();
    if binding.service_deprecated || options.is_some_and(|options| options.deprecated()) {
        operation.insert("deprecated".into(), true.into());
    }
    let template = rule.template.to_string();
    if template != path {
        operation.insert("x-kit-template".into(), template.into());
    }

    let mut parameters: Vec<_> =
        wildcards.iter().zip(names).map(|(wildcard, name)| path_parameter(wildcard, name, schemas)).collect();
    let (in_query, more_in_query) = query::parameters(binding, schemas);
    parameters.extend(in_query);
    if more_in_query {
        operation.insert("x-kit-more-query-parameters".into(), true.into());
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    if let Some(body) = request_body(binding, schemas) {
        operation.insert("requestBody".into(), body);
    }
    let success = response(binding, schemas);
    operation
        .insert("responses".into(), json!({ "200": success, "default": { "$ref": "#/components/responses/Error" } }));
    operation.into()
}

fn path_parameter(wildcard: &Wildcard, name: &str, schemas: &mut Schemas) -> Value {
    let fills = wildcard.fills.as_ref();
    let part = fills.is_none_or(|fills| fills.pattern.is_some());
    let whole_field = fills.filter(|_| !part).and_then(|fills| fills.field.as_ref());
    let mut schema = whole_field.and_then(|field| schemas.text(&field.kind())).unwrap_or(json!({ "type": "string" }));
    // An empty segment matches no wildcard but `**`.
    if !wildcard.rest && schema == json!({ "type": "string" }) {
        schema = json!({ "type": "string", "minLength": 1 });
    }

    let mut text = says_what_it_fills(wildcard, name);
    if let Some(field) = fills.and_then(|fills| fills.field.as_ref()) {
        comment::append(&mut text, &comment::of_field(field));
    }
    let mut parameter = Map::new();
    parameter.insert("name".into(), name.into());
    parameter.insert("in".into(), "path".into());
    parameter.insert("required".into(), true.into());
    comment::describe(&mut parameter, &text);
    if fills.and_then(|fills| fills.field.as_ref()).is_some_and(query::is_deprecated) {
        parameter.insert("deprecated".into(), true.into());
    }
    parameter.insert("schema".into(), schema);
    if wildcard.rest {
        parameter.insert("x-kit-rest-of-path".into(), true.into());
    }
    parameter.into()
}

fn says_what_it_fills(wildcard: &Wildcard, name: &str) -> String {
    let mut text = match &wildcard.fills {
        None => "Fills no field.".to_owned(),
        // Nothing to say: it is the field.
        Some(fills) if fills.pattern.is_none() && fills.path == name => String::new(),
        Some(fills) => match (&fills.pattern, fills.place) {
            (None, _) => format!("Fills `{}`.", fills.path),
            (Some(pattern), (_, 1)) => {
                let star = if wildcard.rest { "**" } else { "*" };
                format!("What stands for `{star}` in `{pattern}`, which fills `{}`.", fills.path)
            }
            (Some(pattern), (nth, count)) => {
                format!("Wildcard {nth} of {count} in `{pattern}`, which fills `{}`.", fills.path)
            }
        },
    };
    if wildcard.rest {
        text.push_str(" It is the rest of the path: any number of segments with the slashes between them, or none.");
    }
    text.trim_start().to_owned()
}

/// What a body or an answer holds: a whole message, or one field of it.
enum Content {
    Message(MessageDescriptor),
    Field(FieldDescriptor),
}

impl Content {
    fn new(message: MessageDescriptor, field: Option<&str>) -> Self {
        match field.and_then(|name| query::field_named(&message, name)) {
            Some(field) => Self::Field(field),
            None => Self::Message(message),
        }
    }

    /// `google.api.HttpBody` is not JSON but the bytes themselves.
    fn is_raw(&self) -> bool {
        let is_http_body = |message: &MessageDescriptor| message.full_name() == "google.api.HttpBody";
        match self {
            Self::Message(message) => is_http_body(message),
            Self::Field(field) => !field.is_list() && field.kind().as_message().is_some_and(is_http_body),
        }
    }

    fn schema(&self, schemas: &mut Schemas) -> Value {
        match self {
            Self::Message(message) => schemas.message(message),
            Self::Field(field) => schemas.field(field),
        }
    }
}

fn raw() -> Value {
    json!({ "*/*": { "schema": { "type": "string", "format": "binary" } } })
}

fn request_body(binding: &Binding<'_>, schemas: &mut Schemas) -> Option<Value> {
    let field = match &binding.rule.body {
        RuleBody::None => return None,
        RuleBody::All => None,
        RuleBody::Field(name) => Some(name.as_str()),
    };
    let body = Content::new(binding.method.input(), field);
    let mut text = String::new();
    if binding.method.is_client_streaming() {
        text.push_str("A stream: one JSON value a line.");
    }
    let mut content = Map::new();
    if body.is_raw() {
        return Some(json!({ "required": true, "content": raw() }));
    }
    let schema = body.schema(schemas);
    let bound = bound_in_path(binding);
    if field.is_none() && !bound.is_empty() {
        comment::append(&mut text, &format!("Taken from the path whatever the body says: {bound}."));
    }
    if binding.method.is_client_streaming() {
        content.insert(NDJSON.into(), json!({ "schema": schema }));
    }
    content.insert(JSON.into(), json!({ "schema": schema }));
    let mut request = Map::new();
    comment::describe(&mut request, &text);
    request.insert("required".into(), true.into());
    request.insert("content".into(), content.into());
    Some(request.into())
}

fn bound_in_path(binding: &Binding<'_>) -> String {
    let mut paths: Vec<_> =
        binding.wildcards.iter().filter_map(|w| w.fills.as_ref()).map(|fills| format!("`{}`", fills.path)).collect();
    paths.dedup();
    paths.join(", ")
}

fn response(binding: &Binding<'_>, schemas: &mut Schemas) -> Value {
    let answer = Content::new(binding.method.output(), binding.rule.response_body.as_deref());
    let comment = match &answer {
        Content::Message(message) if !value::is_well_known(message) => comment::of_message(message),
        Content::Message(_) => String::new(),
        Content::Field(field) => comment::of_field(field),
    };
    let summary = comment::summary(&comment);
    if answer.is_raw() {
        return json!({ "description": "The bytes, with a content type of their own.", "content": raw() });
    }
    let one = answer.schema(schemas);
    let one = match &answer {
        Content::Field(field) if is_null_when_unset(field) => value::nullable(one),
        _ => one,
    };
    if !binding.method.is_server_streaming() {
        let text = if summary.is_empty() { "OK.".to_owned() } else { format!("{summary}.") };
        return json!({ "description": text, "content": { JSON: { "schema": one } } });
    }
    let mut text = "A stream of values: an array, one a line, or one an event, as `Accept` says. \
                    When it fails on the way, the last value is `{\"error\": ...}`."
        .to_owned();
    if !summary.is_empty() {
        text = format!("{summary}. {text}");
    }
    let element = json!({ "anyOf": [one, schemas.stream_error()] });
    json!({
        "description": text,
        "content": {
            JSON: { "schema": { "type": "array", "items": element } },
            NDJSON: { "schema": element },
            EVENTS: { "schema": element },
        },
    })
}

/// A message that is not set is `{}` as an answer; anything else with presence is `null`.
fn is_null_when_unset(field: &FieldDescriptor) -> bool {
    let in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
    let has_fields = field.kind().as_message().is_some_and(|message| !value::is_well_known(message));
    !field.is_list() && !field.is_map() && field.supports_presence() && (in_oneof || !has_fields)
}
