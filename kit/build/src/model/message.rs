//! A message as a table of fields.

use std::collections::HashSet;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, Syntax};

use super::rules::Rules;
use crate::{
    ident::{to_snake, to_upper_camel},
    types::Types,
};

/// One message.
pub(crate) struct Message {
    /// The name with the package.
    pub full_name: String,
    /// The Rust type, as written in the package's module.
    pub path: String,
    /// In the order of declaration.
    pub fields: Vec<Field>,
    /// Whether the type is of another crate, where serde's traits can't be implemented for it.
    pub is_extern: bool,
    /// What is checked of it, where it has rules.
    pub rules: Option<Rules>,
}

/// One field.
pub(crate) struct Field {
    /// The name in the file.
    pub name: String,
    /// The name in JSON.
    pub json_name: String,
    /// The names that lead to this field and to no field before it.
    pub patterns: Vec<String>,
    /// The Rust field; that of the oneof for a member of one.
    pub ident: String,
    /// How often it may be there.
    pub shape: Shape,
}

/// How a field is held.
pub(crate) enum Shape {
    /// Always there.
    Singular(Codec),
    /// In an `Option`.
    Optional(Codec),
    /// In a variant of an enum.
    Member {
        /// How its value is written.
        codec: Codec,
        /// The Rust variant with its enum.
        variant: String,
        /// Whether the enum has no other variant.
        alone: bool,
    },
    /// In a `Vec`.
    Repeated(Codec),
    /// In a `HashMap`.
    Map(Codec, Codec),
}

/// The marker type of a value in `kit::message`.
pub(crate) enum Codec {
    /// `Int32`, `Str`, ...
    Scalar(&'static str),
    /// An enum of this Rust type.
    Enumeration(String),
    /// A message of this Rust type.
    Nested(String),
    /// The same in a `Box`.
    Boxed(String),
}

impl Message {
    pub(crate) fn new(descriptor: &MessageDescriptor, types: &Types, foreign: bool) -> Self {
        let package = descriptor.package_name();
        let proto = descriptor.descriptor_proto();
        // Not `fields()`, which sorts by number.
        let fields: Vec<FieldDescriptor> =
            proto.field.iter().filter_map(|field| descriptor.get_field_by_name(field.name())).collect();
        let mut taken: HashSet<&str> = fields.iter().map(FieldDescriptor::name).collect();
        let patterns: Vec<Vec<String>> = fields
            .iter()
            .map(|field| {
                let mut patterns = vec![field.name().to_owned()];
                if taken.insert(field.json_name()) {
                    patterns.push(field.json_name().to_owned());
                }
                patterns
            })
            .collect();
        let field = |(descriptor, patterns): (&FieldDescriptor, Vec<String>)| Field {
            name: descriptor.name().to_owned(),
            json_name: descriptor.json_name().to_owned(),
            patterns,
            ident: match real_oneof(descriptor) {
                Some(oneof) => to_snake(oneof.name()),
                None => to_snake(descriptor.name()),
            },
            shape: Shape::new(descriptor, package, types),
        };
        Self {
            full_name: descriptor.full_name().to_owned(),
            path: types.path(package, descriptor.full_name()),
            fields: fields.iter().zip(patterns).map(field).collect(),
            is_extern: foreign && types.is_extern(descriptor.full_name()),
            rules: None,
        }
    }
}

impl Shape {
    fn new(field: &FieldDescriptor, package: &str, types: &Types) -> Self {
        if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let codec = |field: FieldDescriptor| Codec::new(&field, package, types, false);
            return Self::Map(codec(entry.map_entry_key_field()), codec(entry.map_entry_value_field()));
        }
        let codec = Codec::new(field, package, types, types.is_boxed(field));
        if field.is_list() {
            return Self::Repeated(codec);
        }
        if let Some(oneof) = real_oneof(field) {
            let parent = field.parent_message();
            let module = types.nested_module(package, parent.full_name());
            let variant = to_upper_camel(field.name());
            let variant = format!("{module}::{}::{variant}", oneof_type(parent, oneof.name()));
            return Self::Member { codec, variant, alone: oneof.fields().len() == 1 };
        }
        let is_message = matches!(field.kind(), Kind::Message(_));
        let has_presence = field.field_descriptor_proto().proto3_optional()
            || is_message
            || field.parent_file().syntax() == Syntax::Proto2;
        if has_presence && field.cardinality() == Cardinality::Optional {
            Self::Optional(codec)
        } else {
            Self::Singular(codec)
        }
    }
}

impl Codec {
    fn new(field: &FieldDescriptor, package: &str, types: &Types, boxed: bool) -> Self {
        Self::Scalar(match field.kind() {
            Kind::Double => "Double",
            Kind::Float => "Float",
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "Int32",
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "Int64",
            Kind::Uint32 | Kind::Fixed32 => "Uint32",
            Kind::Uint64 | Kind::Fixed64 => "Uint64",
            Kind::Bool => "Bool",
            Kind::String => "Str",
            Kind::Bytes => "Bytes",
            Kind::Enum(held) => return Self::Enumeration(types.path(package, held.full_name())),
            Kind::Message(held) => {
                let path = types.path(package, held.full_name());
                return if boxed { Self::Boxed(path) } else { Self::Nested(path) };
            }
        })
    }
}

/// The oneof that a field is in, unless it is the one that `optional` makes up.
pub(crate) fn real_oneof(field: &FieldDescriptor) -> Option<prost_reflect::OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// The name of a oneof's enum: prost avoids those of the types beside it.
pub(crate) fn oneof_type(parent: &MessageDescriptor, oneof: &str) -> String {
    let name = to_upper_camel(oneof);
    // Map entries count, as they do for prost.
    let proto = parent.descriptor_proto();
    let messages = proto.nested_type.iter().map(|nested| nested.name());
    let enums = proto.enum_type.iter().map(|nested| nested.name());
    if messages.chain(enums).any(|beside| to_upper_camel(beside) == name) { format!("{name}OneOf") } else { name }
}
