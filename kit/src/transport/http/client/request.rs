//! A message as an HTTP request, by the rule of its method: the reverse of what the server does.

use std::any::Any;

use bytes::Bytes;
use kit_template::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::super::{
    Body,
    answer::{as_raw, raw_field},
    body::{self, Received},
};
use crate::{
    Error, Message, Method, RuleBody,
    json::{self, Options},
    message::resolve,
    proto::google::api::HttpBody,
};

/// Where and how a method is called.
pub(super) struct Target {
    pub(super) method: http::Method,
    template: Template,
    body: RuleBody,
    response_body: Option<String>,
}

/// What is sent.
pub(super) struct Sent {
    pub(super) path: String,
    pub(super) body: Body,
    pub(super) content_type: Option<String>,
}

/// What a query keeps as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Target {
    /// The first rule of a method.
    pub(super) fn new(method: &Method) -> Result<Self, String> {
        let rule = method.http.first().ok_or_else(|| {
            format!("{} has no HTTP rule: call it by gRPC, with an address that starts with grpc://", method.path)
        })?;
        let template = Template::parse(&rule.template).map_err(|e| e.to_string())?;
        let http_method = if rule.method == "*" { "POST" } else { &*rule.method };
        let http_method = http::Method::from_bytes(http_method.as_bytes())
            .map_err(|_| format!("{} has an HTTP rule with the method {:?}", method.path, rule.method))?;
        let response_body = rule.response_body.as_ref().map(ToString::to_string);
        Ok(Self { method: http_method, template, body: rule.body.clone(), response_body })
    }

    pub(super) fn path_without_variables(&self) -> Result<String, Error> {
        self.template.expand(|_| None).map_err(|e| Error::invalid_argument(e.to_string()))
    }

    pub(super) fn write<M: Message>(&self, message: &M) -> Result<Sent, Error> {
        // Names of the `.proto` file, as templates have them; path variables need their value even at its default.
        let whole = Options { proto_names: true, ..Options::default() };
        let sparse = Options { proto_names: true, omit_defaults: true, ..Options::default() };
        if self.body == RuleBody::All && self.template.variables().is_empty() && as_raw(message).is_none() {
            // Nothing is to be taken out: no tree is needed.
            let (path, body) = (self.path_without_variables()?, json::to_vec(message, &sparse)?);
            return Ok(Sent { path, body: body.into(), content_type: Some("application/json".to_owned()) });
        }
        let mut tree = json::to_value(message, &sparse)?;
        let full = if self.template.variables().is_empty() { Value::Null } else { json::to_value(message, &whole)? };
        let path = self
            .template
            .expand(|name| text(name.split('.').try_fold(&full, |value, part| value.get(part))?))
            .map_err(|e| Error::invalid_argument(format!("the request can't be written as a path: {e}")))?;
        for variable in self.template.variables() {
            remove(&mut tree, variable.path());
        }
        let (body, content_type) = match &self.body {
            RuleBody::None => (Body::empty(), None),
            RuleBody::All => {
                if let Some(raw) = as_raw(message) {
                    let sent =
                        Sent { path, body: raw.data.clone().into(), content_type: Some(raw.content_type.clone()) };
                    return Ok(sent);
                }
                let body = std::mem::take(&mut tree).to_string();
                (body.into(), Some("application/json".to_owned()))
            }
            RuleBody::Field(name) => match remove(&mut tree, &[name.to_string()]) {
                Some(_) if let Some(raw) = raw_field(message, name) => (raw.data.into(), Some(raw.content_type)),
                Some(value) => (value.to_string().into(), Some("application/json".to_owned())),
                None => (Body::empty(), None),
            },
        };
        let mut query = String::new();
        flatten::<M>(&tree, &mut String::new(), &mut query)?;
        Ok(Sent { path: if query.is_empty() { path } else { format!("{path}?{query}") }, body, content_type })
    }

    pub(super) fn read_answer<M: Message>(&self, content_type: String, content: &[u8]) -> Result<M, Error> {
        let mut message = M::default();
        if let Some(raw) = (&mut message as &mut dyn Any).downcast_mut::<HttpBody>() {
            *raw = HttpBody { content_type, data: content.to_vec(), extensions: Vec::new() };
            return Ok(message);
        }
        let options = Options::default();
        let unreadable = |e: Error| Error::internal("the service's answer can't be read").with_source(e);
        match &self.response_body {
            None => json::from_slice(content, &options).map_err(unreadable),
            Some(field) => {
                let received = Received { bytes: Bytes::copy_from_slice(content), content_type };
                let read = body::field(&mut message, field, received, &options, false);
                read.map(|_| message).map_err(|refusal| unreadable(refusal.into_error()))
            }
        }
    }
}

/// Takes a field out of a tree.
fn remove(tree: &mut Value, path: &[String]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(tree, |value, part| value.get_mut(part))?;
    parent.as_object_mut()?.remove(last)
}

/// The text that a path or a query has for a value.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Adds what is left of a message to a query.
fn flatten<M: Message>(tree: &Value, path: &mut String, query: &mut String) -> Result<(), Error> {
    let Value::Object(object) = tree else { return Ok(()) };
    for (name, value) in object {
        let before = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        match value {
            Value::Object(entries) if resolve::<M>(path).is_err() => {
                // Only a map has no value of its own: its entries have.
                for (key, entry) in entries {
                    add::<M>(&format!("{path}[{key}]"), entry, query)?;
                }
            }
            Value::Object(_) => flatten::<M>(value, path, query)?,
            Value::Array(items) => items.iter().try_for_each(|item| add::<M>(path, item, query))?,
            value => add::<M>(path, value, query)?,
        }
        path.truncate(before);
    }
    Ok(())
}

fn add<M: Message>(path: &str, value: &Value, query: &mut String) -> Result<(), Error> {
    let text = text(value).ok_or_else(|| {
        Error::invalid_argument(format!("{path} of {} has no form in a query: call by gRPC", M::NAME))
    })?;
    if !query.is_empty() {
        query.push('&');
    }
    query.extend(utf8_percent_encode(path, QUERY));
    query.push('=');
    query.extend(utf8_percent_encode(&text, QUERY));
    Ok(())
}
