//! The rules of protovalidate: options of fields, oneofs and messages, as what the generated code checks.

use std::collections::HashSet;

use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value,
};

use super::message::{Field, real_oneof};
use crate::{ident::to_snake, source::Sources, types::Types};

mod calls;
mod reader;
mod ruled;

pub(crate) use calls::{Argument, Call, Entry};
use reader::{Common, Ignore, Reader};
pub(crate) use ruled::Ruled;

use crate::error::Problems;

/// The numbers of `options` in the descriptors of a message, a field and a oneof.
const OF_MESSAGE: i32 = 7;
const OF_FIELD: i32 = 8;
const OF_ONEOF: i32 = 2;

/// The number of the three extensions.
const EXTENSION: i32 = 1159;

/// What is checked of a message.
#[derive(Default)]
pub(crate) struct Rules {
    /// Fields of which one may be set.
    pub groups: Vec<Group>,
    /// Oneofs that must be set: the name in the file and the Rust field.
    pub oneofs: Vec<(String, String)>,
    /// In the order of declaration.
    pub fields: Vec<FieldCheck>,
}

/// Fields of which one may be set, though they are in no oneof of the language.
pub(crate) struct Group {
    /// Places among the fields of the message.
    pub fields: Vec<usize>,
    /// Whether one must be.
    pub required: bool,
}

/// What is checked of a field.
pub(crate) struct FieldCheck {
    /// The place among the fields of the message.
    pub field: usize,
    /// Whether it must be set.
    pub required: bool,
    /// Whether the rest holds only for values other than zero.
    pub unless_zero: bool,
    /// The rest.
    pub what: What,
}

/// What is checked of a field's value.
pub(crate) enum What {
    Value(ValueCheck),
    List { calls: Vec<Call>, items: Option<ItemCheck> },
    Map { calls: Vec<Call>, keys: Option<ItemCheck>, values: Option<ItemCheck> },
}

/// What is checked of one value.
#[derive(Default)]
pub(crate) struct ValueCheck {
    /// The calls, and by what they begin.
    pub rules: Option<(Entry, Vec<Call>)>,
    /// Whether it is a message with rules of its own.
    pub nested: bool,
}

/// What is checked of each element, key or value.
pub(crate) struct ItemCheck {
    pub check: ValueCheck,
    pub unless_zero: bool,
}

impl Rules {
    /// The rules of a message, whose `fields` are in the order of declaration; `None` where it has none.
    pub(crate) fn new(
        message: &MessageDescriptor,
        fields: &[Field],
        ruled: &Ruled,
        types: &Types,
        sources: &Sources,
        problems: &mut Problems,
    ) -> Option<Self> {
        if !ruled.contains(message.full_name()) {
            return None;
        }
        let mut builder = Builder { message, fields, ruled, types, reader: Reader::new(message, sources, problems) };
        let mut rules = Self::default();
        builder.groups(&mut rules);
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            if builder.is_required(&oneof) {
                rules.oneofs.push((oneof.name().to_owned(), to_snake(oneof.name())));
            }
        }
        let grouped: HashSet<usize> = rules.groups.iter().flat_map(|group| group.fields.iter().copied()).collect();
        for (index, field) in fields.iter().enumerate() {
            let Some(descriptor) = message.get_field_by_name(&field.name) else { continue };
            rules.fields.extend(builder.field(index, &descriptor, grouped.contains(&index)));
        }
        Some(rules)
    }
}

struct Builder<'a> {
    message: &'a MessageDescriptor,
    fields: &'a [Field],
    ruled: &'a Ruled,
    types: &'a Types,
    reader: Reader<'a>,
}

impl Builder<'_> {
    /// `(buf.validate.message).oneof`.
    fn groups(&mut self, rules: &mut Rules) {
        let path = [self.message.path(), &[OF_MESSAGE, EXTENSION]].concat();
        let Some(options) = read(&self.message.options(), self.ruled.of_messages()) else { return };
        let subject = format!("`{}`", self.message.full_name());
        for (field, value) in self.reader.known(&options, &path, &subject) {
            match (field.name(), &value) {
                ("oneof", Value::List(groups)) => {
                    for group in groups.iter().filter_map(Value::as_message) {
                        rules.groups.extend(self.group(group, &path));
                    }
                }
                (name, _) => self.reader.unsupported(&path, &field, &subject, name),
            }
        }
    }

    fn group(&mut self, group: &DynamicMessage, path: &[i32]) -> Option<Group> {
        let names = group.get_field_by_name("fields")?.into_owned();
        let required = group.get_field_by_name("required").and_then(|value| value.as_bool()).unwrap_or_default();
        let mut fields = Vec::new();
        for name in names.as_list()?.iter().filter_map(Value::as_str) {
            match self.fields.iter().position(|field| field.name == name) {
                Some(index) => fields.push(index),
                None => {
                    let text =
                        format!("`oneof`: `{}` has no field `{name}`: name its fields", self.message.full_name());
                    self.reader.problem(path, text);
                }
            }
        }
        Some(Group { fields, required })
    }

    /// `(buf.validate.oneof).required`.
    fn is_required(&mut self, oneof: &OneofDescriptor) -> bool {
        let path = [oneof.path(), &[OF_ONEOF, EXTENSION]].concat();
        let Some(options) = read(&oneof.options(), self.ruled.of_oneofs()) else { return false };
        let subject = format!("`{}`", oneof.full_name());
        let mut required = false;
        for (field, value) in self.reader.known(&options, &path, &subject) {
            match (field.name(), &value) {
                ("required", Value::Bool(value)) => required = *value,
                (name, _) => self.reader.unsupported(&path, &field, &subject, name),
            }
        }
        required
    }

    fn field(&mut self, index: usize, field: &FieldDescriptor, grouped: bool) -> Option<FieldCheck> {
        let path = [field.path(), &[OF_FIELD, EXTENSION]].concat();
        let subject = format!("`{}`", field.full_name());
        let mut common = match read(&field.options(), self.ruled.of_fields()) {
            Some(options) => self.reader.common(&options, &path, &subject),
            None => Common::default(),
        };
        if common.ignore == Ignore::Always {
            return None;
        }
        if grouped && common.ignore == Ignore::Unspecified {
            common.ignore = Ignore::IfZero;
        }
        let what = self.what(field, &common, &path, &subject);
        let is_empty = match &what {
            What::Value(check) => check.is_empty(),
            What::List { calls, items } => calls.is_empty() && items.is_none(),
            What::Map { calls, keys, values } => calls.is_empty() && keys.is_none() && values.is_none(),
        };
        let tracks_presence = real_oneof(field).is_some() || field.supports_presence();
        let unless_zero = common.ignore == Ignore::IfZero && !tracks_presence;
        (common.required || !is_empty).then_some(FieldCheck {
            field: index,
            required: common.required,
            unless_zero,
            what,
        })
    }

    fn what(&mut self, field: &FieldDescriptor, common: &Common, path: &[i32], subject: &str) -> What {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return What::Value(ValueCheck::default()) };
            let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            let (mut calls, mut keys, mut values) = (Vec::new(), None, None);
            if let Some((path, body)) = self.reader.body(common, "map", "a map", path, subject) {
                for (rule, given) in self.reader.known(&body, &path, subject) {
                    match (rule.name(), &given) {
                        ("keys", Value::Message(inner)) => {
                            keys = self.item(inner, &key, &path, &format!("a key of {subject}"));
                        }
                        ("values", Value::Message(inner)) => values = Some((inner.clone(), path.clone())),
                        _ => self.call(calls::of_map(&rule, &given), &rule, &path, subject, &mut calls),
                    }
                }
            }
            let values = self.item_or_nested(values, &value, &format!("a value of {subject}"));
            return What::Map { calls, keys, values };
        }
        if field.is_list() {
            let (mut calls, mut items) = (Vec::new(), None);
            if let Some((path, body)) = self.reader.body(common, "repeated", "repeated", path, subject) {
                for (rule, given) in self.reader.known(&body, &path, subject) {
                    match (rule.name(), &given) {
                        ("items", Value::Message(inner)) => items = Some((inner.clone(), path.clone())),
                        ("unique", Value::Bool(true)) if matches!(field.kind(), Kind::Message(_)) => {
                            let text =
                                format!("`unique` is for scalars and enums, and {subject} has messages: remove it");
                            self.reader.problem(&path, text);
                        }
                        _ => self.call(calls::of_list(&rule, &given), &rule, &path, subject, &mut calls),
                    }
                }
            }
            let items = self.item_or_nested(items, &field.kind(), &format!("an item of {subject}"));
            return What::List { calls, items };
        }
        What::Value(self.value(&field.kind(), common, path, subject))
    }

    fn item_or_nested(
        &mut self,
        rules: Option<(DynamicMessage, Vec<i32>)>,
        kind: &Kind,
        subject: &str,
    ) -> Option<ItemCheck> {
        match rules {
            Some((rules, path)) => self.item(&rules, kind, &path, subject),
            None => {
                let check = ValueCheck { rules: None, nested: self.is_nested(kind) };
                check.nested.then_some(ItemCheck { check, unless_zero: false })
            }
        }
    }

    fn item(&mut self, rules: &DynamicMessage, kind: &Kind, path: &[i32], subject: &str) -> Option<ItemCheck> {
        let common = self.reader.common(rules, path, subject);
        if common.required {
            let text = format!("`required` means nothing for {subject}, which is always there: remove it");
            self.reader.problem(path, text);
        }
        if common.ignore == Ignore::Always {
            return None;
        }
        let check = self.value(kind, &common, path, subject);
        let unless_zero = common.ignore == Ignore::IfZero && !matches!(kind, Kind::Message(_));
        (!check.is_empty()).then_some(ItemCheck { check, unless_zero })
    }

    fn value(&mut self, kind: &Kind, common: &Common, path: &[i32], subject: &str) -> ValueCheck {
        let nested = self.is_nested(kind);
        let (expected, entry) = self.entry(kind);
        let Some((path, body)) = self.reader.body(common, expected, &named(kind), path, subject) else {
            return ValueCheck { rules: None, nested };
        };
        let Some(entry) = entry else { return ValueCheck { rules: None, nested } };
        let mut calls = Vec::new();
        let given = self.reader.known(&body, &path, subject);
        let strict = given.iter().find(|(rule, _)| rule.name() == "strict").and_then(|(_, value)| value.as_bool());
        for (rule, value) in &given {
            if rule.name() == "pattern"
                && let Some(text) = value.as_str()
                && let Err(error) = regex::Regex::new(text)
            {
                // The last line says what is wrong, those before it show where.
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.reader
                    .problem(&path, format!("the pattern `{text}` of {subject} is no regular expression: {why}"));
                continue;
            }
            let call = calls::of_value(&entry, rule, value, strict.unwrap_or(true));
            self.call(call, rule, &path, subject, &mut calls);
        }
        calls.extend(calls::range(&given));
        let rules = (!calls.is_empty()).then_some((entry, calls));
        ValueCheck { rules, nested }
    }

    /// Adds what a rule checks; a problem where this is not known.
    fn call(
        &mut self,
        call: Option<Option<Call>>,
        rule: &FieldDescriptor,
        path: &[i32],
        subject: &str,
        calls: &mut Vec<Call>,
    ) {
        match call {
            Some(call) => calls.extend(call),
            None => self.reader.unsupported(path, rule, subject, rule.name()),
        }
    }

    fn is_nested(&self, kind: &Kind) -> bool {
        matches!(kind, Kind::Message(message) if self.ruled.contains(message.full_name()))
    }

    /// Which rules fit a kind, and how its checks begin.
    fn entry(&self, kind: &Kind) -> (&'static str, Option<Entry>) {
        let (name, entry) = match kind {
            Kind::Double => ("double", Entry::Scalar),
            Kind::Float => ("float", Entry::Scalar),
            Kind::Int32 => ("int32", Entry::Scalar),
            Kind::Int64 => ("int64", Entry::Scalar),
            Kind::Uint32 => ("uint32", Entry::Scalar),
            Kind::Uint64 => ("uint64", Entry::Scalar),
            Kind::Sint32 => ("sint32", Entry::Scalar),
            Kind::Sint64 => ("sint64", Entry::Scalar),
            Kind::Fixed32 => ("fixed32", Entry::Scalar),
            Kind::Fixed64 => ("fixed64", Entry::Scalar),
            Kind::Sfixed32 => ("sfixed32", Entry::Scalar),
            Kind::Sfixed64 => ("sfixed64", Entry::Scalar),
            Kind::Bool => ("bool", Entry::Scalar),
            Kind::String => ("string", Entry::String),
            Kind::Bytes => ("bytes", Entry::Bytes),
            Kind::Enum(held) => {
                let path = self.types.path(self.message.package_name(), held.full_name());
                ("enum", Entry::Enum(path))
            }
            Kind::Message(held) => match held.full_name() {
                "google.protobuf.DoubleValue" => ("double", Entry::Scalar),
                "google.protobuf.FloatValue" => ("float", Entry::Scalar),
                "google.protobuf.Int32Value" => ("int32", Entry::Scalar),
                "google.protobuf.Int64Value" => ("int64", Entry::Scalar),
                "google.protobuf.UInt32Value" => ("uint32", Entry::Scalar),
                "google.protobuf.UInt64Value" => ("uint64", Entry::Scalar),
                "google.protobuf.BoolValue" => ("bool", Entry::Scalar),
                "google.protobuf.StringValue" => ("string", Entry::String),
                "google.protobuf.BytesValue" => ("bytes", Entry::Bytes),
                "google.protobuf.Duration" => ("duration", Entry::Duration),
                "google.protobuf.Timestamp" => ("timestamp", Entry::Timestamp),
                "google.protobuf.Any" => ("any", Entry::TypeUrl),
                "google.protobuf.FieldMask" => ("field_mask", Entry::FieldMask),
                _ => return ("", None),
            },
        };
        (name, Some(entry))
    }
}

impl ValueCheck {
    fn is_empty(&self) -> bool {
        self.rules.is_none() && !self.nested
    }
}

/// What an option holds, if it is there.
fn read(options: &DynamicMessage, extension: Option<&ExtensionDescriptor>) -> Option<DynamicMessage> {
    let extension = extension?;
    if !options.has_extension(extension) {
        return None;
    }
    options.get_extension(extension).as_message().cloned()
}

fn named(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!("a `{}`", message.full_name()),
        Kind::Enum(held) => format!("the enum `{}`", held.full_name()),
        scalar => format!("`{}`", format!("{scalar:?}").to_lowercase()),
    }
}
