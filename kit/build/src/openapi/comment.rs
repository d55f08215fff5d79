//! The comments of a `.proto` file, as texts of a document.

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, FieldDescriptor, MessageDescriptor};
use prost_reflect::{MethodDescriptor, OneofDescriptor, ServiceDescriptor};
use prost_types::FileDescriptorProto;
use serde_json::{Map, Value};

/// The comment above a service, empty when there is none.
pub(super) fn of_service(service: &ServiceDescriptor) -> String {
    leading(service.parent_file().file_descriptor_proto(), service.path())
}

/// The comment above a method.
pub(super) fn of_method(method: &MethodDescriptor) -> String {
    leading(method.parent_file().file_descriptor_proto(), method.path())
}

/// The comment above a message.
pub(super) fn of_message(message: &MessageDescriptor) -> String {
    leading(message.parent_file_descriptor_proto(), message.path())
}

/// The comment above a field.
pub(super) fn of_field(field: &FieldDescriptor) -> String {
    leading(field.parent_file().file_descriptor_proto(), field.path())
}

/// The comment above a oneof.
pub(super) fn of_oneof(oneof: &OneofDescriptor) -> String {
    leading(oneof.parent_file().file_descriptor_proto(), oneof.path())
}

/// The comment above an enum, and those of its values as a list.
pub(super) fn of_enum(kind: &EnumDescriptor) -> String {
    let mut text = leading(kind.parent_file_descriptor_proto(), kind.path());
    let mut values: Vec<_> = kind.values().collect();
    // The descriptor has them by number.
    values.sort_by_key(|value| value.path().last().copied());
    let items: Vec<_> = values.iter().filter_map(item).collect();
    append(&mut text, &items.join("\n"));
    text
}

fn item(value: &EnumValueDescriptor) -> Option<String> {
    let deprecated = value.enum_value_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated());
    let comment = leading(value.parent_file().file_descriptor_proto(), value.path()).replace('\n', " ");
    let note = match (comment.is_empty(), deprecated) {
        (true, false) => return None,
        (true, true) => "Deprecated.".to_owned(),
        (false, true) => format!("Deprecated. {comment}"),
        (false, false) => comment,
    };
    Some(format!("- `{}`: {note}", value.name()))
}

fn leading(file: &FileDescriptorProto, path: &[i32]) -> String {
    let locations = file.source_code_info.as_ref().map(|info| info.location.as_slice()).unwrap_or_default();
    let comment = locations.iter().find(|location| location.path == path).map(|location| location.leading_comments());
    let lines: Vec<_> = comment
        .unwrap_or_default()
        .lines()
        // Only the space behind `//` goes: further ones make nested lists and code in CommonMark.
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Adds a paragraph.
pub(super) fn append(text: &mut String, paragraph: &str) {
    if !text.is_empty() && !paragraph.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(paragraph);
}

/// Sets `description`, unless there is nothing to say.
pub(super) fn describe(object: &mut Map<String, Value>, text: &str) {
    if !text.is_empty() {
        object.insert("description".into(), text.into());
    }
}

/// The first sentence on one line, without its full stop; a paragraph that has none is taken whole.
pub(super) fn summary(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line = paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let sentence = line.get(..end_of_sentence(&line)).unwrap_or(&line);
    sentence.strip_suffix('.').unwrap_or(sentence).to_owned()
}

fn end_of_sentence(line: &str) -> usize {
    let stops = line.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | '。'));
    for (at, stop) in stops {
        let end = at + stop.len_utf8();
        let rest = line.get(end..).unwrap_or_default();
        // "e.g. a shelf" goes on; a sentence begins with something other than a small letter.
        let begins = rest.strip_prefix(' ').is_some_and(|next| !next.starts_with(char::is_lowercase));
        if begins || stop == '。' {
            return end;
        }
    }
    line.len()
}
