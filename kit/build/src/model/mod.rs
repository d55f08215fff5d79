//! What is generated, before it is written as Rust: packages with their messages, enums and services.

use std::collections::{BTreeMap, HashSet};

use prost_reflect::{EnumDescriptor, FileDescriptor, Kind, MessageDescriptor, Syntax};

use crate::{
    error::{Error, Problems},
    google,
    ident::to_snake,
    source::Sources,
    types::Types,
};

mod clash;
mod docs;
mod http;
mod message;
pub(crate) mod rules;
mod service;

pub(crate) use docs::{clean, docs};
pub(crate) use message::{Codec, Field, Message, Shape};
use rules::{Ruled, Rules};
pub(crate) use service::{Idempotency, Method, Service};

/// Everything that is generated.
pub(crate) struct Model {
    /// By name; the unnamed package is the first.
    pub packages: Vec<Package>,
    /// Which Rust type stands for which protobuf type.
    pub types: Types,
}

/// One package: one Rust module.
pub(crate) struct Package {
    /// The protobuf name; empty for files without one.
    pub name: String,
    /// The modules from the root down.
    pub module: Vec<String>,
    /// All messages, nested ones included.
    pub messages: Vec<Message>,
    /// All enums, nested ones included.
    pub enums: Vec<Enum>,
    /// The services of the files that were given.
    pub services: Vec<Service>,
}

/// One enum.
pub(crate) struct Enum {
    /// The name with the package.
    pub full_name: String,
    /// The Rust type, as written in the package's module.
    pub path: String,
    /// Names and numbers in the order of declaration.
    pub values: Vec<(String, i32)>,
}

/// What of the files is wanted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// Leaves services out.
    pub messages_only: bool,
    /// Walks messages of types that exist elsewhere, too: for the kit itself.
    pub externs: bool,
}

impl Model {
    /// Builds the model and checks all that can be wrong with it.
    pub(crate) fn new(sources: &Sources, mut types: Types, wanted: Wanted) -> Result<Self, Error> {
        let mut problems = Problems::default();
        skip_options(sources, &mut types);
        let ruled = Ruled::new(&sources.pool);
        let mut packages: BTreeMap<String, Package> = BTreeMap::new();
        for file in sources.pool.files() {
            let given = sources.is_given(file.name());
            let whole = wanted.externs && given;
            let messages: Vec<_> =
                all_messages(&file).into_iter().filter(|m| whole || !types.is_extern(m.full_name())).collect();
            let enums: Vec<_> =
                all_enums(&file).into_iter().filter(|e| whole || !types.is_extern(e.full_name())).collect();
            let services: Vec<_> = file.services().filter(|_| given && !wanted.messages_only).collect();
            if messages.is_empty() && enums.is_empty() && services.is_empty() {
                continue;
            }
            if file.syntax() != Syntax::Proto3 && !whole {
                problems.at(
                    sources.place(&file, &[12]),
                    "only proto3 files are generated: write `syntax = \"proto3\";` as the first statement",
                );
                continue;
            }
            let package =
                packages.entry(file.package_name().to_owned()).or_insert_with(|| Package::new(file.package_name()));
            for descriptor in &messages {
                let mut message = Message::new(descriptor, &types, whole);
                message.rules = Rules::new(descriptor, &message.fields, &ruled, &types, sources, &mut problems);
                package.messages.push(message);
            }
            package.enums.extend(enums.iter().map(|e| Enum::new(e, &types)));
            for service in services {
                package.services.push(Service::new(&service, sources, &types, &mut problems));
            }
        }
        let packages: Vec<Package> = packages.into_values().collect();
        http::check_conflicts(&packages, &mut problems);
        clash::check(&packages, sources, &types, &mut problems);
        problems.check()?;
        Ok(Self { packages, types })
    }
}

impl Package {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            module: name.split('.').filter(|part| !part.is_empty()).map(to_snake).collect(),
            messages: Vec::new(),
            enums: Vec::new(),
            services: Vec::new(),
        }
    }

    /// The name of the file it is written to, without an extension.
    pub(crate) fn file_stem(&self) -> String {
        if self.module.is_empty() { "_".to_owned() } else { self.module.join(".").replace("r#", "") }
    }
}

impl Enum {
    fn new(descriptor: &EnumDescriptor, types: &Types) -> Self {
        Self {
            full_name: descriptor.full_name().to_owned(),
            path: types.path(descriptor.package_name(), descriptor.full_name()),
            // Not `values()`, which sorts by number.
            values: descriptor
                .enum_descriptor_proto()
                .value
                .iter()
                .map(|value| (value.name().to_owned(), value.number()))
                .collect(),
        }
    }
}

/// Leaves out what files such as `google/api/http.proto` define for options only: nothing of it is ever a value.
fn skip_options(sources: &Sources, types: &mut Types) {
    let is_known = |file: &FileDescriptor| google::text(file.name()).is_some() && !sources.is_given(file.name());
    let mut used = HashSet::new();
    let mut open: Vec<MessageDescriptor> = Vec::new();
    for file in sources.pool.files().filter(|file| !is_known(file)) {
        open.extend(all_messages(&file));
        open.extend(
            file.services().flat_map(|s| s.methods().collect::<Vec<_>>()).flat_map(|m| [m.input(), m.output()]),
        );
    }
    while let Some(message) = open.pop() {
        if !used.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            match field.kind() {
                Kind::Message(held) => open.push(held),
                Kind::Enum(held) => drop(used.insert(held.full_name().to_owned())),
                _ => {}
            }
        }
        // The module of a nested message needs those around it.
        open.extend(message.parent_message());
    }
    for file in sources.pool.files().filter(is_known) {
        let messages = file.messages().map(|m| m.full_name().to_owned());
        let enums = file.enums().map(|e| e.full_name().to_owned());
        for name in messages.chain(enums).filter(|name| !used.contains(name)) {
            types.skip(&name);
        }
    }
}

/// The messages of a file from outside in, without map entries.
pub(crate) fn all_messages(file: &FileDescriptor) -> Vec<MessageDescriptor> {
    fn add(message: MessageDescriptor, all: &mut Vec<MessageDescriptor>) {
        if message.is_map_entry() {
            return;
        }
        let nested: Vec<_> = message.child_messages().collect();
        all.push(message);
        nested.into_iter().for_each(|message| add(message, all));
    }
    let mut all = Vec::new();
    file.messages().for_each(|message| add(message, &mut all));
    all
}

/// The enums of a file, nested ones included.
pub(crate) fn all_enums(file: &FileDescriptor) -> Vec<EnumDescriptor> {
    let nested = all_messages(file).into_iter().flat_map(|message| message.child_enums().collect::<Vec<_>>());
    file.enums().chain(nested).collect()
}
