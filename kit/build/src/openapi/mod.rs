//! The OpenAPI 3.1 document of services, from their descriptors and HTTP rules.
//!
//! What OpenAPI has no room for is kept in extensions rather than lost:
//!
//! - `x-kit-template` on an operation: the template of its rule, where the path says less than it (`{name=shelves/*}`).
//! - `x-kit-rest-of-path: true` on a path parameter: it stands for `**`, so its slashes are not escaped and it may be
//!   empty.
//! - `x-kit-more-query-parameters: true` on an operation: its request has more fields than are listed (500).
//! - `x-kit-custom-methods` on a path item: operations by HTTP method, for methods that OpenAPI has no key for.
//! - `x-kit-more-operations` on a path item: `{method, template, operation}` for rules whose path and method look like
//!   those of a rule that is more specific. `/files/{name=**}` beside `/files/{id}` is one: OpenAPI forbids two paths
//!   that differ in the names of their parameters alone.

use std::collections::HashSet;

use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use serde_json::{Map, Value, json};

use crate::rule::Rule;

mod comment;
mod operation;
mod path;
mod paths;
mod query;
mod rules;
mod schema;
mod value;

#[cfg(test)]
mod tests;

/// What a document says of the whole API.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info {
    /// The name of the API.
    pub title: String,
    /// The version of the API, not that of OpenAPI.
    pub version: String,
    /// What the API is for, in CommonMark.
    pub description: Option<String>,
    /// The base URLs under which it is served; none means the place that the document was fetched from.
    pub servers: Vec<String>,
}

/// A service, and the methods of it that are generated.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The service itself.
    pub descriptor: ServiceDescriptor,
    /// The methods with their HTTP rules: the primary one first, then the additional bindings. A method without rules
    /// can't be called over HTTP and does not appear in the document.
    pub methods: Vec<(MethodDescriptor, Vec<Rule>)>,
}

/// The OpenAPI document. Equal input gives equal text.
pub(crate) fn document(info: &Info, services: &[Service]) -> Value {
    let mut schemas = schema::Schemas::default();
    let names = tag_names(services);
    let paths = paths::paths(services, &names, &mut schemas);

    let mut about = Map::new();
    about.insert("title".into(), info.title.as_str().into());
    about.insert("version".into(), info.version.as_str().into());
    if let Some(description) = &info.description {
        about.insert("description".into(), description.as_str().into());
    }

    let mut document = Map::new();
    document.insert("openapi".into(), "3.1.0".into());
    document.insert("info".into(), about.into());
    if !info.servers.is_empty() {
        document.insert("servers".into(), info.servers.iter().map(|url| json!({ "url": url })).collect());
    }
    document.insert("tags".into(), tags(services, &names).into());
    document.insert("paths".into(), paths.into());
    document.insert("components".into(), components(schemas));
    document.into()
}

/// The short name of each service, or the full one where two share the short one.
fn tag_names(services: &[Service]) -> Vec<String> {
    let shared = |name: &str| services.iter().filter(|service| service.descriptor.name() == name).count() > 1;
    let name = |service: &Service| {
        let short = service.descriptor.name();
        if shared(short) { service.descriptor.full_name() } else { short }.to_owned()
    };
    services.iter().map(name).collect()
}

fn tags(services: &[Service], names: &[String]) -> Vec<Value> {
    let mut seen = HashSet::new();
    let mut tags = Vec::new();
    for (service, name) in services.iter().zip(names) {
        let empty = service.methods.iter().all(|(_, rules)| rules.is_empty());
        if empty || !seen.insert(name) {
            continue;
        }
        let mut tag = Map::new();
        tag.insert("name".into(), name.as_str().into());
        comment::describe(&mut tag, &comment::of_service(&service.descriptor));
        tags.push(tag.into());
    }
    tags
}

fn components(mut schemas: schema::Schemas) -> Value {
    let status = schemas.status();
    let error = json!({
        "description": "The call failed; the HTTP status follows from the code.",
        "headers": {
            "Retry-After": {
                "description": "After how many seconds a further call may succeed; with RESOURCE_EXHAUSTED (429) and UNAVAILABLE (503).",
                "schema": { "type": "integer", "minimum": 0 },
            },
        },
        "content": { "application/json": { "schema": status } },
    });
    json!({ "schemas": schemas.into_components(), "responses": { "Error": error } })
}
