//! Rust names of protobuf names, the same as prost gives.

use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};

/// What prost writes as a raw identifier.
const RAW: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
    "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
    "unsized", "use", "virtual", "where", "while", "yield",
];

/// Keywords that can't be raw identifiers.
const SUFFIXED: &[&str] = &["_", "Self", "crate", "extern", "self", "super"];

fn sanitize(name: String) -> String {
    if RAW.contains(&name.as_str()) {
        format!("r#{name}")
    } else if SUFFIXED.contains(&name.as_str()) {
        format!("{name}_")
    } else if name.starts_with(char::is_numeric) {
        format!("_{name}")
    } else {
        name
    }
}

/// The name of a field, a method or a module.
pub(crate) fn to_snake(name: &str) -> String {
    sanitize(name.to_snake_case())
}

/// The name of a type or a variant.
pub(crate) fn to_upper_camel(name: &str) -> String {
    sanitize(name.to_upper_camel_case())
}

/// The name of a static. Upper case is never a keyword, but may start with a digit.
pub(crate) fn to_shouty(name: &str) -> String {
    sanitize(name.to_shouty_snake_case())
}

/// The name that prost gives the variant of an enum: without the name of the enum before it.
pub(crate) fn to_variant(rust_enum: &str, name: &str) -> String {
    let whole = to_upper_camel(name);
    match whole.strip_prefix(rust_enum) {
        Some(rest) if rest.starts_with(char::is_uppercase) => sanitize(rest.to_owned()),
        _ => sanitize(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_escaped_as_prost_does() {
        assert_eq!(to_snake("Type"), "r#type");
        assert_eq!(to_snake("gen"), "r#gen");
        assert_eq!(to_snake("crate"), "crate_");
        assert_eq!(to_upper_camel("self"), "Self_");
        assert_eq!(to_snake("_1"), "_1");
        assert_eq!(to_snake("HTTPBody2"), "http_body2");
    }

    #[test]
    fn variants_lose_the_name_of_their_enum() {
        assert_eq!(to_variant("Kind", "KIND_UNSPECIFIED"), "Unspecified");
        assert_eq!(to_variant("Kind", "KINDLY"), "Kindly");
        assert_eq!(to_variant("Kind", "KIND_SELF"), "Self_");
        assert_eq!(to_variant("Kind", "KIND_2"), "Kind2");
    }
}
