//! Which Rust type stands for a protobuf type: what prost would say.

use std::collections::{HashMap, HashSet};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::{
    error::Error,
    ident::{to_snake, to_upper_camel},
};

/// Generic parameters in generated code; a message of such a name must be written with its module.
const GENERICS: &[&str] = &["C", "D", "L", "S", "T", "V"];

/// The Rust types of protobuf types.
#[derive(Default)]
pub(crate) struct Types {
    externs: HashMap<String, String>,
    /// For each message those that it holds in fields that are not repeated.
    holds: HashMap<String, Vec<String>>,
}

impl Types {
    /// The types of `pool`, some of which the user (first), then the kit and prost already have; but not those of `own`.
    pub(crate) fn new(
        kit: &str,
        elsewhere: &[(String, String)],
        own: &[String],
        pool: &DescriptorPool,
    ) -> Result<Self, Error> {
        let mut externs = HashMap::new();
        for (proto, rust) in elsewhere {
            let well_formed = proto.strip_prefix('.').is_some_and(|rest| !rest.split('.').any(str::is_empty));
            if !well_formed {
                return Err(Error::new(format!(
                    "extern_path({proto:?}, ..): write a package or a type with a dot before it, as in \".comments\""
                )));
            }
            if syn::parse_str::<syn::Path>(rust).is_err() {
                return Err(Error::new(format!("extern_path({proto:?}, {rust:?}): {rust:?} is not a Rust path")));
            }
            externs.insert(proto.clone(), rust.clone());
        }
        for (proto, rust) in known(kit) {
            if own.iter().any(|own| proto.starts_with(own)) {
                continue;
            }
            externs.entry(proto).or_insert(rust);
        }
        let mut types = Self { externs, holds: HashMap::new() };
        for message in pool.all_messages() {
            let held = message.fields().filter(|field| !field.is_list() && !field.is_map()).filter_map(message_name);
            types.holds.insert(message.full_name().to_owned(), held.collect());
        }
        Ok(types)
    }

    /// What prost needs to know of types that exist elsewhere.
    pub(crate) fn externs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.externs.iter().map(|(proto, rust)| (proto.as_str(), rust.as_str()))
    }

    /// Takes a type as existing elsewhere, so that it is not generated.
    pub(crate) fn skip(&mut self, full_name: &str) {
        self.externs.entry(format!(".{full_name}")).or_insert_with(|| "()".to_owned());
    }

    /// Whether a type exists elsewhere.
    pub(crate) fn is_extern(&self, full_name: &str) -> bool {
        self.find_extern(full_name).is_some()
    }

    /// The Rust path of a type as it is written in the module of `package`.
    pub(crate) fn path(&self, package: &str, full_name: &str) -> String {
        self.find_extern(full_name).unwrap_or_else(|| relative(package, full_name))
    }

    /// The path of the module in which the types nested in a message are.
    pub(crate) fn nested_module(&self, package: &str, full_name: &str) -> String {
        let path = self.path(package, full_name);
        let name = full_name.rsplit('.').next().unwrap_or(full_name);
        match path.rsplit_once("::") {
            // A generic's `self::` is no part of the way to the module.
            Some(("self", _)) | None => to_snake(name),
            Some((scope, _)) => format!("{scope}::{}", to_snake(name)),
        }
    }

    /// Whether prost keeps the value of a field in a `Box`, because it may hold the message that the field is in.
    pub(crate) fn is_boxed(&self, field: &FieldDescriptor) -> bool {
        if field.is_list() || field.is_map() {
            return false;
        }
        let Some(start) = message_name(field.clone()) else { return false };
        let goal = field.parent_message().full_name().to_owned();
        let mut seen = HashSet::new();
        let mut open = vec![start.as_str()];
        while let Some(name) = open.pop() {
            if name == goal {
                return true;
            }
            if seen.insert(name) {
                open.extend(self.holds.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        false
    }

    fn find_extern(&self, full_name: &str) -> Option<String> {
        let name = format!(".{full_name}");
        if let Some(rust) = self.externs.get(&name) {
            return Some(rust.clone());
        }
        name.rmatch_indices('.').find_map(|(index, _)| {
            let rust = self.externs.get(name.get(..index)?)?;
            let mut rest: Vec<&str> = name.get(index + 1..)?.split('.').collect();
            let last = to_upper_camel(rest.pop()?);
            let mut parts: Vec<String> = Vec::new();
            for (place, part) in rust.split("::").chain(rest).enumerate() {
                // `crate` is the keyword there, not a name to escape.
                parts.push(if place == 0 && part == "crate" { part.to_owned() } else { to_snake(part) });
            }
            parts.push(last);
            Some(parts.join("::"))
        })
    }
}

fn message_name(field: FieldDescriptor) -> Option<String> {
    match field.kind() {
        Kind::Message(message) => Some(message.full_name().to_owned()),
        _ => None,
    }
}

fn relative(package: &str, full_name: &str) -> String {
    let mut here = package.split('.').filter(|part| !part.is_empty()).peekable();
    let (scope, name) = full_name.rsplit_once('.').unwrap_or(("", full_name));
    let mut there = scope.split('.').filter(|part| !part.is_empty()).peekable();
    while here.peek().is_some() && here.peek() == there.peek() {
        here.next();
        there.next();
    }
    let up = here.map(|_| "super".to_owned());
    let mut parts: Vec<String> = up.chain(there.map(to_snake)).collect();
    let name = to_upper_camel(name);
    if parts.is_empty() && GENERICS.contains(&name.as_str()) {
        parts.push("self".to_owned());
    }
    parts.push(name);
    parts.join("::")
}

/// The types that come with the kit and with prost.
fn known(kit: &str) -> Vec<(String, String)> {
    let prost = format!("{kit}::codegen::prost");
    let string = format!("{prost}::alloc::string::String");
    let bytes = format!("{prost}::alloc::vec::Vec<u8>");
    let mut known = vec![
        (".google.protobuf".to_owned(), format!("{kit}::codegen::prost_types")),
        (".google.api.HttpBody".to_owned(), format!("{kit}::proto::google::api::HttpBody")),
        (".google.rpc".to_owned(), format!("{kit}::proto::google::rpc")),
    ];
    let values = [
        ("BoolValue", "bool"),
        ("BytesValue", bytes.as_str()),
        ("DoubleValue", "f64"),
        ("Empty", "()"),
        ("FloatValue", "f32"),
        ("Int32Value", "i32"),
        ("Int64Value", "i64"),
        ("StringValue", string.as_str()),
        ("UInt32Value", "u32"),
        ("UInt64Value", "u64"),
    ];
    known.extend(values.map(|(name, rust)| (format!(".google.protobuf.{name}"), rust.to_owned())));
    known
}

/// Whether a message is one value in JSON and in text: a path variable may hold it.
pub(crate) fn is_text(message: &MessageDescriptor) -> bool {
    const TEXTS: &[&str] = &[
        "BoolValue",
        "BytesValue",
        "DoubleValue",
        "Duration",
        "FieldMask",
        "FloatValue",
        "Int32Value",
        "Int64Value",
        "StringValue",
        "Timestamp",
        "UInt32Value",
        "UInt64Value",
    ];
    message.parent_file().package_name() == "google.protobuf" && TEXTS.contains(&message.name())
}
