//! The `paths` of a document: rules grouped by what OpenAPI takes for one path.

use std::collections::{HashMap, HashSet};

use prost_reflect::MethodDescriptor;
use serde_json::{Map, Value, json};

use super::{Service, operation, path, path::Wildcard, schema::Schemas};
use crate::rule::Rule;

/// Methods that a path item has a key for. HTTP methods are case-sensitive: `get` is a custom one.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/// One rule of one method.
#[derive(Debug)]
pub(super) struct Binding<'a> {
    /// The tag of the service.
    pub tag: &'a str,
    /// Whether the service as a whole is deprecated.
    pub service_deprecated: bool,
    /// The method.
    pub method: &'a MethodDescriptor,
    /// The rule.
    pub rule: &'a Rule,
    /// Unique in the document.
    pub id: String,
    /// The wildcards of the rule's template.
    pub wildcards: Vec<Wildcard>,
}

/// All path items, in the order in which the rules stand in the services.
pub(super) fn paths(services: &[Service], tags: &[String], schemas: &mut Schemas) -> Map<String, Value> {
    let mut groups: Vec<Vec<Binding<'_>>> = Vec::new();
    let mut by_shape: HashMap<String, usize> = HashMap::new();
    for binding in bindings(services, tags) {
        let index = *by_shape.entry(path::shape(&binding.rule.template)).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.push(binding),
            None => groups.push(vec![binding]),
        }
    }
    groups.iter_mut().map(|group| item(group, schemas)).collect()
}

fn bindings<'a>(services: &'a [Service], tags: &'a [String]) -> Vec<Binding<'a>> {
    // Primary bindings choose first: their names are the ones that people write into clients.
    let mut ids: HashSet<String> = HashSet::new();
    for (service, tag) in services.iter().zip(tags) {
        ids.extend(service.methods.iter().map(|(method, _)| operation_id(tag, method)));
    }
    let mut bindings = Vec::new();
    for (service, tag) in services.iter().zip(tags) {
        let options = service.descriptor.service_descriptor_proto().options.as_ref();
        for (method, rules) in &service.methods {
            for (index, rule) in rules.iter().enumerate() {
                bindings.push(Binding {
                    tag,
                    service_deprecated: options.is_some_and(|options| options.deprecated()),
                    method,
                    rule,
                    id: unique_id(operation_id(tag, method), index, &mut ids),
                    wildcards: path::wildcards(&rule.template, &method.input()),
                });
            }
        }
    }
    bindings
}

fn operation_id(tag: &str, method: &MethodDescriptor) -> String {
    format!("{}_{}", tag.replace('.', "_"), method.name())
}

fn unique_id(base: String, index: usize, taken: &mut HashSet<String>) -> String {
    if index == 0 {
        return base;
    }
    let mut number = index + 1;
    loop {
        let id = format!("{base}_{number}");
        if taken.insert(id.clone()) {
            return id;
        }
        number += 1;
    }
}

/// The path item of rules whose paths are one to OpenAPI. The first one names the parameters for all of them: which field
/// each fills is in its description.
fn item(group: &mut [Binding<'_>], schemas: &mut Schemas) -> (String, Value) {
    let Some(first) = group.first() else { return (String::new(), Value::Null) };
    let names: Vec<_> = first.wildcards.iter().map(|wildcard| wildcard.name.clone()).collect();
    let path = path::render(&first.rule.template, names.iter().map(String::as_str));
    // Where one has `*` and another `**`, the router prefers the former, and so does the document.
    group.sort_by_key(|binding| binding.wildcards.iter().any(|wildcard| wildcard.rest));

    let mut methods = Map::new();
    let mut custom = Map::new();
    let mut more = Vec::new();
    for binding in group {
        let operation = operation::operation(binding, &names, &path, schemas);
        let method = binding.rule.http_method.as_str();
        let known = METHODS.contains(&method);
        let (place, key) =
            if known { (&mut methods, method.to_ascii_lowercase()) } else { (&mut custom, method.to_owned()) };
        if place.contains_key(&key) {
            let template = binding.rule.template.to_string();
            more.push(json!({ "method": method, "template": template, "operation": operation }));
        } else {
            place.insert(key, operation);
        }
    }
    if !custom.is_empty() {
        methods.insert("x-kit-custom-methods".into(), custom.into());
    }
    if !more.is_empty() {
        methods.insert("x-kit-more-operations".into(), more.into());
    }
    (path, methods.into())
}
