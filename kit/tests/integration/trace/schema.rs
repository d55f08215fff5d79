//! Zipkin's own description of its API, as far as spans go: what it says is checked, and what it does not know is an error.

use serde_json::Value;

/// Checks a span against `definitions.Span` of `tests/data/zipkin2-api.yaml`.
pub(crate) fn check_span(span: &Value) {
    let api: Value = serde_saphyr::from_str(include_str!("../../data/zipkin2-api.yaml")).unwrap();
    let mut wrong = Vec::new();
    check(&api, &api["definitions"]["Span"], span, "span", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}\n{span:#}");
}

fn check(api: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/definitions/").unwrap();
        assert!(api["definitions"][name].is_object(), "{name}");
        return check(api, &api["definitions"][name], value, at, wrong);
    }
    let mut require = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{at}: {value} {what}"));
        }
    };
    match schema["type"].as_str().unwrap() {
        "object" => {
            let Some(object) = value.as_object() else { return require(false, "is no object") };
            for name in schema["required"].as_array().into_iter().flatten() {
                require(object.contains_key(name.as_str().unwrap()), &format!("lacks {name}"));
            }
            for (name, member) in object {
                let known = schema["properties"].get(name).or(schema.get("additionalProperties"));
                match known {
                    Some(schema) => check(api, schema, member, &format!("{at}.{name}"), wrong),
                    None => wrong.push(format!("{at}.{name} is not known")),
                }
            }
        }
        "array" => {
            let Some(items) = value.as_array() else { return require(false, "is no array") };
            let unique = items.iter().enumerate().all(|(n, item)| !items[..n].contains(item));
            require(unique || schema["uniqueItems"] != Value::Bool(true), "has an item twice");
            for (n, item) in items.iter().enumerate() {
                check(api, &schema["items"], item, &format!("{at}[{n}]"), wrong);
            }
        }
        "string" => {
            let Some(text) = value.as_str() else { return require(false, "is no string") };
            let bound = |key: &str| schema[key].as_u64().map(|bound| usize::try_from(bound).unwrap());
            require(bound("minLength").is_none_or(|least| text.len() >= least), "is too short");
            require(bound("maxLength").is_none_or(|most| text.len() <= most), "is too long");
            require(schema["pattern"].as_str().is_none_or(|pattern| hex(pattern, text)), "does not fit the pattern");
            let named = schema["enum"].as_array().is_none_or(|names| names.contains(value));
            require(named, "is none of the names");
            match schema["format"].as_str() {
                Some("ipv4") => require(text.parse::<std::net::Ipv4Addr>().is_ok(), "is no IPv4 address"),
                Some("ipv6") => require(text.parse::<std::net::Ipv6Addr>().is_ok(), "is no IPv6 address"),
                Some(other) => panic!("{at}: the format {other} is new"),
                None => {}
            }
        }
        "integer" => {
            let Some(number) = value.as_i64() else { return require(false, "is no integer of 64 bits") };
            require(schema["minimum"].as_i64().is_none_or(|least| number >= least), "is too small");
        }
        "boolean" => require(value.is_boolean(), "is no boolean"),
        other => panic!("{at}: the type {other} is new"),
    }
}

/// The one shape of pattern that the description has: `[a-f0-9]{16}` or `[a-f0-9]{16,32}`.
fn hex(pattern: &str, text: &str) -> bool {
    let bounds = pattern.strip_prefix("[a-f0-9]{").and_then(|rest| rest.strip_suffix('}')).unwrap();
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, bounds));
    let length = least.parse().unwrap()..=most.parse().unwrap();
    length.contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn what_breaks_the_description_is_found() {
    let good = serde_json::json!({ "traceId": "463ac35c9f6413ad", "id": "a2fb4a1d1a96d312", "kind": "CLIENT" });
    check_span(&good);
    for (name, value) in [
        ("traceId", serde_json::json!("463AC35C9F6413AD")),
        ("id", serde_json::json!("a2fb4a1d1a96d31")),
        ("kind", serde_json::json!("SERVANT")),
        ("duration", serde_json::json!(0)),
        ("tags", serde_json::json!({ "a": 1 })),
        ("localEndpoint", serde_json::json!({ "ipv4": "::1" })),
        ("annotations", serde_json::json!([{ "timestamp": 1 }])),
        ("unknown", serde_json::json!(true)),
    ] {
        let mut span = good.clone();
        span[name] = value;
        std::panic::catch_unwind(|| check_span(&span)).expect_err(name);
    }
}
