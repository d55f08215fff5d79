//! Subcommands and flags out of a service's descriptors.

use clap::{Arg, ArgAction, Command, builder::PossibleValue};
use prost_reflect::{
    Cardinality, DescriptorPool, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

use crate::{Error, ServiceInfo};

pub(super) struct Described {
    pub(super) about: String,
    pub(super) methods: Vec<Command>,
}

/// How deep the flags of nested messages go; deeper fields are given by `--json`.
const DEEPEST: usize = 4;

pub(super) fn service(info: &ServiceInfo) -> Result<Described, Error> {
    let broken = |e: String| Error::internal("the descriptors of the service can't be read").with_log(e);
    let pool = DescriptorPool::decode(info.descriptors).map_err(|e| broken(e.to_string()))?;
    let service = pool.get_service_by_name(info.name).ok_or_else(|| broken(format!("no service {}", info.name)))?;
    Ok(Described {
        about: comment(&service.parent_file(), service.path()),
        methods: service.methods().map(|method| method_command(&method)).collect(),
    })
}

/// The name of the subcommand of a service: `BookDetails` is `book-details`.
pub(super) fn service_command(info: &ServiceInfo) -> String {
    kebab(info.name.rsplit('.').next().unwrap_or(info.name))
}

/// `GetBook` is `get-book`.
pub(super) fn kebab(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = '-';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let starts = c.is_ascii_uppercase()
            && (!before.is_ascii_uppercase() || rest.peek().is_some_and(char::is_ascii_lowercase));
        if starts && before != '-' && before != '_' {
            out.push('-');
        }
        out.push(if c == '_' { '-' } else { c.to_ascii_lowercase() });
        before = c;
    }
    out
}

fn method_command(method: &MethodDescriptor) -> Command {
    let text = comment(&method.parent_file(), method.path());
    let mut command = Command::new(kebab(method.name())).arg(
        Arg::new("json")
            .long("json")
            .value_name("JSON | @FILE | -")
            .help(if method.is_client_streaming() {
                "The messages as JSON, one after the other: inline, from a file, or from stdin"
            } else {
                "The message as JSON: inline, from a file, or from stdin; flags are set on top of it"
            })
            .help_heading("Request"),
    );
    if !text.is_empty() {
        command = command.about(text.clone());
    }
    if method.options().get_field_by_name("deprecated").is_some_and(|value| value.as_bool() == Some(true)) {
        command = command.about(format!("(deprecated) {text}"));
    }
    let mut args = Vec::new();
    fields(&method.input(), "", &mut Vec::new(), &mut args);
    command.args(args)
}

fn fields(message: &MessageDescriptor, prefix: &str, within: &mut Vec<String>, args: &mut Vec<Arg>) {
    if within.len() >= DEEPEST || within.iter().any(|name| name == message.full_name()) {
        return;
    }
    within.push(message.full_name().to_owned());
    for field in message.fields() {
        let path = format!("{prefix}{}", field.name());
        match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() && !is_value(&inner) => {
                fields(&inner, &format!("{path}."), within, args);
            }
            _ => args.push(flag(&field, path)),
        }
    }
    within.pop();
}

/// Well-known types are one flag.
pub(super) fn is_value(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf" && message.name() != "Empty"
}

fn flag(field: &FieldDescriptor, path: String) -> Arg {
    // A field may be called like one of our own flags.
    let long = match path.as_str() {
        "json" | "addr" | "transport" | "header" | "timeout" | "verbose" | "help" | "version" | "ca" | "cert"
        | "key" => {
            format!("field.{path}")
        }
        _ => path.replace('_', "-"),
    };
    let mut help = comment(&field.parent_message().parent_file(), field.path());
    if let Some(oneof) = field.containing_oneof().filter(|_| !field.field_descriptor_proto().proto3_optional()) {
        let others: Vec<_> =
            oneof.fields().filter(|other| other != field).map(|other| other.name().to_owned()).collect();
        if !others.is_empty() {
            help = format!("{help} (not together with {})", others.join(", ")).trim().to_owned();
        }
    }
    let mut arg = Arg::new(format!("field:{path}"))
        .long(long)
        .help(help)
        .help_heading("Request")
        .value_name(value_name(field))
        .allow_hyphen_values(true)
        .action(if field.cardinality() == Cardinality::Repeated { ArgAction::Append } else { ArgAction::Set });
    match field.kind() {
        Kind::Enum(values) if !field.is_map() && values.full_name() != "google.protobuf.NullValue" => {
            let shown = values.values().map(|value| {
                let help = comment(&values.parent_file(), value.path());
                let shown = PossibleValue::new(value.name().to_owned());
                if help.is_empty() { shown } else { shown.help(help) }
            });
            arg = arg.value_parser(clap::builder::PossibleValuesParser::new(shown)).allow_hyphen_values(false);
        }
        Kind::Bool if !field.is_list() => {
            let values = clap::builder::PossibleValuesParser::new(["true", "false"]);
            arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_parser(values);
        }
        _ => {}
    }
    arg
}

fn value_name(field: &FieldDescriptor) -> String {
    if field.is_map() {
        return "KEY=VALUE".to_owned();
    }
    match field.kind() {
        Kind::Double | Kind::Float => "NUMBER",
        Kind::Bool => "BOOL",
        Kind::String => "TEXT",
        Kind::Bytes => "BASE64",
        Kind::Enum(_) => "NAME",
        Kind::Message(inner) => match inner.full_name() {
            "google.protobuf.Timestamp" => "2020-01-02T03:04:05Z",
            "google.protobuf.Duration" => "1.5s",
            "google.protobuf.FieldMask" => "a,b.c",
            name if name.ends_with("Value") && name.starts_with("google.protobuf.") && inner.name() != "Value" => {
                "VALUE"
            }
            _ => "JSON",
        },
        _ => "INTEGER",
    }
    .to_owned()
}

/// The comment in front of a declaration.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.map(|location| location.leading_comments()).unwrap_or_default();
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    text.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::kebab;

    #[test]
    fn names_of_subcommands() {
        for (name, command) in [
            ("Detail", "detail"),
            ("GetBook", "get-book"),
            ("HTTPGet", "http-get"),
            ("get_all", "get-all"),
            ("A1B", "a1-b"),
        ] {
            assert_eq!(kebab(name), command);
        }
    }
}
