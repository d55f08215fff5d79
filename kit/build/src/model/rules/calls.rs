//! Which call of `kit::message::rules` checks a rule.

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

/// How the checks of a value begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    String,
    Bytes,
    /// Numbers and bools.
    Scalar,
    /// An enum of this Rust type.
    Enum(String),
    Duration,
    Timestamp,
    /// The `type_url` of an `Any`.
    TypeUrl,
    /// No rule of these is supported.
    FieldMask,
}

/// One call of a check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub name: &'static str,
    pub arguments: Vec<Argument>,
}

/// What is written between the parentheses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Argument {
    /// As it stands in Rust: a number, a bool.
    Literal(String),
    Text(String),
    Bytes(Vec<u8>),
    Span(i64, i32),
    Moment(i64, i32),
    Pattern(String),
    /// A variant of `Format`.
    Format(&'static str),
    List(Vec<Self>),
    /// A limit that belongs to the range.
    Included(Box<Self>),
    /// One that does not.
    Excluded(Box<Self>),
}

/// The call of a rule: `None` for one that is not known, `Some(None)` for one that checks nothing.
type Found = Option<Option<Call>>;

fn call(name: &'static str, arguments: impl IntoIterator<Item = Argument>) -> Found {
    Some(Some(Call { name, arguments: arguments.into_iter().collect() }))
}

/// For rules that are switched on: `email: true`.
fn switch(value: &Value, name: &'static str, arguments: impl IntoIterator<Item = Argument>) -> Found {
    if value.as_bool()? { call(name, arguments) } else { Some(None) }
}

pub(super) fn of_list(rule: &FieldDescriptor, value: &Value) -> Found {
    match rule.name() {
        "min_items" => call("min_items", argument(value)),
        "max_items" => call("max_items", argument(value)),
        "unique" => switch(value, "unique", []),
        _ => None,
    }
}

pub(super) fn of_map(rule: &FieldDescriptor, value: &Value) -> Found {
    match rule.name() {
        "min_pairs" => call("min_pairs", argument(value)),
        "max_pairs" => call("max_pairs", argument(value)),
        _ => None,
    }
}

pub(super) fn of_value(entry: &Entry, rule: &FieldDescriptor, value: &Value, strict: bool) -> Found {
    let name = rule.name();
    if *entry == Entry::FieldMask {
        return if name == "example" { Some(None) } else { None };
    }
    match name {
        "example" => Some(None),
        "const" => call("equals", argument(value)),
        "in" => call("one_of", argument(value)),
        "not_in" => call("none_of", argument(value)),
        _ => match entry {
            Entry::String => of_string(name, value, strict),
            Entry::Bytes => of_bytes(name, value),
            Entry::Enum(_) if name == "defined_only" => switch(value, "defined_only", []),
            Entry::Scalar | Entry::Duration | Entry::Timestamp => of_scalar(name, value),
            Entry::Enum(_) | Entry::TypeUrl | Entry::FieldMask => None,
        },
    }
}

fn of_scalar(name: &str, value: &Value) -> Found {
    match name {
        // One limit or two: see `range`.
        "lt" | "lte" | "gt" | "gte" => Some(None),
        "finite" => switch(value, "finite", []),
        "lt_now" => switch(value, "lt_now", []),
        "gt_now" => switch(value, "gt_now", []),
        "within" => call("within", argument(value)),
        _ => None,
    }
}

/// The call of the limits, which belong together.
pub(super) fn range(given: &[(FieldDescriptor, Value)]) -> Option<Call> {
    let find = |names: [&'static str; 2]| {
        given.iter().find_map(|(rule, value)| {
            let name = names.into_iter().find(|name| *name == rule.name())?;
            Some((name, argument(value)?))
        })
    };
    let bound = |(name, limit): (&'static str, Argument)| match name {
        "gte" | "lte" => Argument::Included(Box::new(limit)),
        _ => Argument::Excluded(Box::new(limit)),
    };
    match (find(["gt", "gte"]), find(["lt", "lte"])) {
        (Some(lower), Some(upper)) => Some(Call { name: "range", arguments: vec![bound(lower), bound(upper)] }),
        (Some((name, limit)), None) | (None, Some((name, limit))) => Some(Call { name, arguments: vec![limit] }),
        (None, None) => None,
    }
}

fn of_string(name: &str, value: &Value, strict: bool) -> Found {
    const CALLS: &[&str] = &[
        "len",
        "min_len",
        "max_len",
        "len_bytes",
        "min_bytes",
        "max_bytes",
        "prefix",
        "suffix",
        "contains",
        "not_contains",
    ];
    const FORMATS: &[(&str, &str)] = &[
        ("email", "Email"),
        ("hostname", "Hostname"),
        ("ip", "Ip"),
        ("ipv4", "Ipv4"),
        ("ipv6", "Ipv6"),
        ("uri", "Uri"),
        ("uri_ref", "UriRef"),
        ("address", "Address"),
        ("uuid", "Uuid"),
        ("tuuid", "Tuuid"),
        ("ulid", "Ulid"),
        ("ip_with_prefixlen", "IpWithPrefixlen"),
        ("ipv4_with_prefixlen", "Ipv4WithPrefixlen"),
        ("ipv6_with_prefixlen", "Ipv6WithPrefixlen"),
        ("ip_prefix", "IpPrefix"),
        ("ipv4_prefix", "Ipv4Prefix"),
        ("ipv6_prefix", "Ipv6Prefix"),
        ("host_and_port", "HostAndPort"),
        ("protobuf_fqn", "ProtobufFqn"),
        ("protobuf_dot_fqn", "ProtobufDotFqn"),
    ];
    if let Some(name) = CALLS.iter().find(|known| **known == name) {
        return call(name, argument(value));
    }
    if let Some((_, format)) = FORMATS.iter().find(|(known, _)| *known == name) {
        return switch(value, "format", [Argument::Format(format)]);
    }
    match (name, value) {
        ("pattern", Value::String(text)) => call("pattern", [Argument::Pattern(text.clone())]),
        // It says which of two formats `well_known_regex` is.
        ("strict", _) => Some(None),
        ("well_known_regex", Value::EnumNumber(known)) => {
            let format = match (known, strict) {
                (0, _) => return Some(None),
                (1, true) => "HttpHeaderName",
                (1, false) => "LooseHttpHeaderName",
                (2, true) => "HttpHeaderValue",
                (2, false) => "LooseHttpHeaderValue",
                _ => return None,
            };
            call("format", [Argument::Format(format)])
        }
        _ => None,
    }
}

fn of_bytes(name: &str, value: &Value) -> Found {
    const CALLS: &[&str] = &["len", "min_len", "max_len", "prefix", "suffix", "contains"];
    const SWITCHES: &[&str] = &["ip", "ipv4", "ipv6", "uuid"];
    if let Some(name) = CALLS.iter().find(|known| **known == name) {
        return call(name, argument(value));
    }
    if let Some(name) = SWITCHES.iter().find(|known| **known == name) {
        return switch(value, name, []);
    }
    match (name, value) {
        ("pattern", Value::String(text)) => call("pattern", [Argument::Pattern(text.clone())]),
        _ => None,
    }
}

/// A value of the option as an argument.
fn argument(value: &Value) -> Option<Argument> {
    Some(match value {
        Value::Bool(value) => Argument::Literal(value.to_string()),
        Value::I32(value) | Value::EnumNumber(value) => Argument::Literal(value.to_string()),
        Value::I64(value) => Argument::Literal(value.to_string()),
        Value::U32(value) => Argument::Literal(value.to_string()),
        Value::U64(value) => Argument::Literal(value.to_string()),
        Value::F32(value) if value.is_finite() => Argument::Literal(format!("{value:?}")),
        Value::F64(value) if value.is_finite() => Argument::Literal(format!("{value:?}")),
        Value::F32(value) => Argument::Literal(unbounded("f32", f64::from(*value))),
        Value::F64(value) => Argument::Literal(unbounded("f64", *value)),
        Value::String(text) => Argument::Text(text.clone()),
        Value::Bytes(bytes) => Argument::Bytes(bytes.to_vec()),
        Value::List(values) => Argument::List(values.iter().map(argument).collect::<Option<_>>()?),
        Value::Message(message) => time(message)?,
        Value::Map(_) => return None,
    })
}

fn unbounded(of: &str, value: f64) -> String {
    let name = match value {
        value if value.is_nan() => "NAN",
        f64::INFINITY => "INFINITY",
        _ => "NEG_INFINITY",
    };
    format!("::core::primitive::{of}::{name}")
}

fn time(message: &DynamicMessage) -> Option<Argument> {
    use prost_reflect::ReflectMessage as _;
    let seconds = message.get_field_by_name("seconds")?.as_i64()?;
    let nanos = message.get_field_by_name("nanos")?.as_i32()?;
    match message.descriptor().name() {
        "Duration" => Some(Argument::Span(seconds, nanos)),
        "Timestamp" => Some(Argument::Moment(seconds, nanos)),
        _ => None,
    }
}
