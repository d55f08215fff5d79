//! A service and its methods.

use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use prost_types::method_options::IdempotencyLevel;

use super::{docs, http};
use crate::{
    error::{Place, Problems},
    ident::{to_shouty, to_snake, to_upper_camel},
    rule::Rule,
    source::Sources,
    types::Types,
};

/// One service.
pub(crate) struct Service {
    /// The name with the package.
    pub full_name: String,
    /// The Rust trait.
    pub ident: String,
    /// The static of its `ServiceInfo`.
    pub constant: String,
    /// The comment, fit for rustdoc.
    pub docs: String,
    /// Whether `option deprecated = true`.
    pub deprecated: bool,
    /// In the order of declaration.
    pub methods: Vec<Method>,
    /// Where it stands.
    pub place: Place,
    /// All that is known of it.
    pub descriptor: ServiceDescriptor,
}

/// One method.
pub(crate) struct Method {
    /// The name in the file.
    pub name: String,
    /// The Rust function, and the field of the endpoint.
    pub ident: String,
    /// The static of its `Method`.
    pub constant: String,
    /// The comment, fit for rustdoc.
    pub docs: String,
    /// Whether `option deprecated = true`.
    pub deprecated: bool,
    /// Whether the caller sends a stream.
    pub client_streams: bool,
    /// Whether the service answers with a stream.
    pub server_streams: bool,
    /// What it promises about being called twice.
    pub idempotency: Idempotency,
    /// The ways to call it over HTTP; the first is the main one.
    pub rules: Vec<Rule>,
    /// Where the template of each rule stands.
    pub rule_places: Vec<Place>,
    /// The Rust type of the request message.
    pub input: String,
    /// The Rust type of the answer message.
    pub output: String,
    /// Where it stands.
    pub place: Place,
    /// Its messages, with everything that is known of them.
    pub descriptor: MethodDescriptor,
}

/// What a method promises about being called twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idempotency {
    Unknown,
    NoSideEffects,
    Idempotent,
}

impl Service {
    pub(crate) fn new(
        descriptor: &ServiceDescriptor,
        sources: &Sources,
        types: &Types,
        problems: &mut Problems,
    ) -> Self {
        let file = descriptor.parent_file();
        let options = descriptor.service_descriptor_proto().options.as_ref();
        let methods = descriptor.methods().map(|method| Method::new(&method, sources, types, problems)).collect();
        Self {
            full_name: descriptor.full_name().to_owned(),
            ident: to_upper_camel(descriptor.name()),
            constant: to_shouty(descriptor.name()),
            docs: docs(&file, descriptor.path()),
            deprecated: options.is_some_and(|options| options.deprecated()),
            methods,
            place: sources.place(&file, &named(descriptor.path())),
            descriptor: descriptor.clone(),
        }
    }
}

impl Method {
    fn new(descriptor: &MethodDescriptor, sources: &Sources, types: &Types, problems: &mut Problems) -> Self {
        let service = descriptor.parent_service();
        let file = service.parent_file();
        let package = service.package_name();
        let options = descriptor.method_descriptor_proto().options.clone().unwrap_or_default();
        let (rules, rule_places): (Vec<_>, Vec<_>) = http::rules(descriptor, sources, problems).into_iter().unzip();
        Self {
            name: descriptor.name().to_owned(),
            ident: to_snake(descriptor.name()),
            constant: to_shouty(&format!("{}_{}", service.name(), descriptor.name())),
            docs: docs(&file, descriptor.path()),
            deprecated: options.deprecated(),
            client_streams: descriptor.is_client_streaming(),
            server_streams: descriptor.is_server_streaming(),
            idempotency: idempotency(options.idempotency_level(), &rules),
            rules,
            rule_places,
            input: types.path(package, descriptor.input().full_name()),
            output: types.path(package, descriptor.output().full_name()),
            place: sources.place(&file, &named(descriptor.path())),
            descriptor: descriptor.clone(),
        }
    }
}

fn idempotency(level: IdempotencyLevel, rules: &[Rule]) -> Idempotency {
    match level {
        IdempotencyLevel::NoSideEffects => Idempotency::NoSideEffects,
        IdempotencyLevel::Idempotent => Idempotency::Idempotent,
        IdempotencyLevel::IdempotencyUnknown if !rules.is_empty() && rules.iter().all(|r| r.http_method == "GET") => {
            Idempotency::NoSideEffects
        }
        IdempotencyLevel::IdempotencyUnknown => Idempotency::Unknown,
    }
}

/// The path of a descriptor's name, which is always its field 1.
pub(super) fn named(path: &[i32]) -> Vec<i32> {
    let mut path = path.to_vec();
    path.push(1);
    path
}
