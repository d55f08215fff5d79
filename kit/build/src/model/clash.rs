//! Names that differ in a `.proto` file and become one in Rust.

use std::collections::HashMap;

use prost_reflect::{EnumDescriptor, FileDescriptor, MessageDescriptor};

use super::{
    Package, all_enums, all_messages,
    message::{oneof_type, real_oneof},
    service::named,
};
use crate::{
    error::{Place, Problems},
    ident::{to_snake, to_upper_camel, to_variant},
    source::Sources,
    types::Types,
};

/// Finds clashes among everything that is generated.
pub(super) fn check(packages: &[Package], sources: &Sources, types: &Types, problems: &mut Problems) {
    for package in packages {
        let mut scopes = Scopes { problems, taken: HashMap::new() };
        for part in &package.module {
            scopes.take(
                &format!("part {part} of {}", package.name),
                "module",
                part,
                &format!("the package `{}`", package.name),
                None,
            );
        }
        for other in packages {
            if let Some((last, parent)) = other.module.split_last()
                && *parent == package.module
            {
                scopes.take("", "module", last, &format!("the package `{}`", other.name), None);
            }
        }
        for file in sources.pool.files().filter(|file| file.package_name() == package.name) {
            declared(&file, sources, types, &mut scopes);
        }
        services(package, &mut scopes);
    }
}

/// Which Rust names are taken, by whom and where.
struct Scopes<'a> {
    problems: &'a mut Problems,
    taken: HashMap<(String, &'static str, String), (String, Option<Place>)>,
}

impl Scopes<'_> {
    /// Takes a name of a kind in a scope for `owner`, or reports that another has it; whether it was free.
    fn take(&mut self, scope: &str, kind: &'static str, name: &str, owner: &str, place: Option<Place>) -> bool {
        if name.trim_matches('_').is_empty() {
            let message = format!("{owner} has no letters and can't be named in Rust: rename it");
            match place {
                Some(place) => self.problems.at(place, message),
                None => self.problems.add(message),
            }
            return false;
        }
        let key = (scope.to_owned(), kind, name.to_owned());
        if let Some((other, other_place)) = self.taken.get(&key) {
            let beside = other_place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
            let message =
                format!("{owner} and {other}{beside} both become the Rust {kind} `{name}`: rename one of them");
            match place.or_else(|| other_place.clone()) {
                Some(place) => self.problems.at(place, message),
                None => self.problems.add(message),
            }
            return false;
        }
        self.taken.insert(key, (owner.to_owned(), place));
        true
    }
}

fn declared(file: &FileDescriptor, sources: &Sources, types: &Types, scopes: &mut Scopes<'_>) {
    for message in all_messages(file).iter().filter(|message| !types.is_extern(message.full_name())) {
        let scope = message.parent_message().map(|parent| parent.full_name().to_owned()).unwrap_or_default();
        let place = sources.place(file, &named(message.path()));
        let owner = format!("the message `{}`", message.full_name());
        scopes.take(&scope, "type", &to_upper_camel(message.name()), &owner, Some(place.clone()));
        if has_module(message) {
            scopes.take(&scope, "module", &to_snake(message.name()), &owner, Some(place));
        }
        members(message, file, sources, scopes);
    }
    for descriptor in all_enums(file).iter().filter(|descriptor| !types.is_extern(descriptor.full_name())) {
        let scope = descriptor.parent_message().map(|parent| parent.full_name().to_owned()).unwrap_or_default();
        let place = sources.place(file, &named(descriptor.path()));
        let name = to_upper_camel(descriptor.name());
        scopes.take(&scope, "type", &name, &format!("the enum `{}`", descriptor.full_name()), Some(place));
        variants(descriptor, &name, file, sources, scopes);
    }
}

fn has_module(message: &MessageDescriptor) -> bool {
    message.child_messages().any(|nested| !nested.is_map_entry())
        || message.child_enums().len() > 0
        || message.oneofs().any(|oneof| !oneof.is_synthetic())
}

fn members(message: &MessageDescriptor, file: &FileDescriptor, sources: &Sources, scopes: &mut Scopes<'_>) {
    let fields = format!("{} fields", message.full_name());
    for field in message.fields() {
        let place = Some(sources.place(file, &named(field.path())));
        let owner = format!("the field `{}`", field.full_name());
        match real_oneof(&field) {
            Some(oneof) => scopes.take(oneof.full_name(), "variant", &to_upper_camel(field.name()), &owner, place),
            None => scopes.take(&fields, "field", &to_snake(field.name()), &owner, place),
        };
    }
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let place = Some(sources.place(file, &named(oneof.path())));
        let owner = format!("the oneof `{}`", oneof.full_name());
        scopes.take(&fields, "field", &to_snake(oneof.name()), &owner, place.clone());
        scopes.take(message.full_name(), "type", &oneof_type(message, oneof.name()), &owner, place);
    }
}

fn variants(
    descriptor: &EnumDescriptor,
    rust: &str,
    file: &FileDescriptor,
    sources: &Sources,
    scopes: &mut Scopes<'_>,
) {
    let mut numbers = Vec::new();
    for (index, value) in descriptor.enum_descriptor_proto().value.iter().enumerate() {
        // prost leaves aliases out.
        if numbers.contains(&value.number()) {
            continue;
        }
        numbers.push(value.number());
        let mut path = descriptor.path().to_vec();
        path.extend([2, i32::try_from(index).unwrap_or_default(), 1]);
        let place = Some(sources.place(file, &path));
        let owner = format!("the value `{}`", value.name());
        scopes.take(descriptor.full_name(), "variant", &to_variant(rust, value.name()), &owner, place);
    }
}

fn services(package: &Package, scopes: &mut Scopes<'_>) {
    for service in &package.services {
        let owner = format!("the service `{}`", service.full_name);
        let place = Some(service.place.clone());
        scopes.take("", "type", &service.ident, &owner, place.clone());
        for suffix in ["Client", "Endpoints"] {
            let what = format!("{} of {owner}", if suffix == "Client" { "the client" } else { "the endpoints" });
            scopes.take("", "type", &format!("{}{suffix}", service.ident), &what, place.clone());
        }
        scopes.take("", "static", &service.constant, &owner, place);
        for method in &service.methods {
            let owner = format!("the method `{}.{}`", service.full_name, method.name);
            let place = Some(method.place.clone());
            // Methods of one service that share a function share a static, too: once is enough.
            if scopes.take(&service.full_name, "function", &method.ident, &owner, place.clone()) {
                scopes.take("", "static", &method.constant, &owner, place);
            }
        }
    }
}
