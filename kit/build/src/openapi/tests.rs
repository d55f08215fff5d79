use std::path::{Path, PathBuf};

use kit_template::Template;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value as Reflected};
use serde_json::Value;

use super::{Info, Service, document};
use crate::rule::{Rule, RuleBody};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn build(title: &str, includes: &[PathBuf], files: &[&str]) -> Value {
    let mut compiler = protox::Compiler::new(includes).unwrap();
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(files).unwrap();
    let pool = compiler.descriptor_pool();
    let services: Vec<_> = files
        .iter()
        .flat_map(|name| pool.get_file_by_name(name).unwrap().services().collect::<Vec<_>>())
        .map(|descriptor| Service {
            methods: descriptor.methods().map(|method| (method.clone(), rules(&pool, &method))).collect(),
            descriptor,
        })
        .collect();
    let info = Info { title: title.to_owned(), version: "1.0.0".to_owned(), ..Info::default() };
    document(&info, &services)
}

/// As much of the reading of `google.api.http` as documents need.
fn rules(pool: &DescriptorPool, method: &MethodDescriptor) -> Vec<Rule> {
    let extension = pool.get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    let http = options.get_extension(&extension);
    let http = http.as_message().unwrap();
    let additional = http.get_field_by_name("additional_bindings").unwrap();
    let additional = additional.as_list().unwrap().iter().filter_map(Reflected::as_message);
    std::iter::once(http).chain(additional).map(|rule| read(rule, method)).collect()
}

fn read(rule: &DynamicMessage, method: &MethodDescriptor) -> Rule {
    let text = |message: &DynamicMessage, name: &str| {
        message.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let known = ["get", "put", "post", "delete", "patch"].into_iter().find(|name| rule.has_field_by_name(name));
    let (http_method, path) = match known {
        Some(name) => (name.to_uppercase(), text(rule, name)),
        None => {
            let custom = rule.get_field_by_name("custom").unwrap();
            let custom = custom.as_message().unwrap();
            (text(custom, "kind"), text(custom, "path"))
        }
    };
    let is_mask = |kind: prost_reflect::Kind| {
        kind.as_message().is_some_and(|message| message.full_name() == "google.protobuf.FieldMask")
    };
    let mask = method.input().fields().find(|field| is_mask(field.kind())).map(|field| field.name().to_owned());
    Rule {
        field_mask: mask.filter(|_| http_method == "PATCH"),
        http_method,
        template: Template::parse(&path).unwrap(),
        body: match text(rule, "body").as_str() {
            "" => RuleBody::None,
            "*" => RuleBody::All,
            field => RuleBody::Field(field.to_owned()),
        },
        response_body: Some(text(rule, "response_body")).filter(|name| !name.is_empty()),
    }
}

fn bookinfo() -> Value {
    build("BookInfo", &[here("../../proto"), here("proto")], &["details.proto", "comments.proto"])
}

fn echo() -> Value {
    build("Echo", &[here("../examples/proto"), here("proto")], &["echo.proto"])
}

fn corners() -> Value {
    build("Corners", &[here("tests/proto"), here("proto")], &["corners.proto"])
}

/// Compares with a file that is reviewed like code; `KIT_BLESS=1 cargo test` writes it anew.
fn assert_golden(name: &str, document: &Value) {
    let path = here("tests/golden").join(name);
    let text = format!("{document:#}\n");
    if std::env::var_os("KIT_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    if let Some((line, (want, got))) = golden.lines().zip(text.lines()).enumerate().find(|(_, (want, got))| want != got)
    {
        panic!("{name}:{}: golden {want:?}, generated {got:?}", line + 1);
    }
    assert_eq!(golden.len(), text.len(), "{name}: one is longer than the other");
}

#[test]
fn golden_documents() {
    assert_golden("bookinfo.openapi.json", &bookinfo());
    assert_golden("corners.openapi.json", &corners());
}

#[test]
fn equal_input_gives_equal_text() {
    assert_eq!(echo().to_string(), echo().to_string());
}

fn each_object(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|inner| each_object(inner, visit));
        }
        Value::Array(list) => list.iter().for_each(|inner| each_object(inner, visit)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves_and_every_schema_is_used() {
    for document in [bookinfo(), echo(), corners()] {
        let mut used = std::collections::BTreeSet::new();
        each_object(&document, &mut |object| {
            if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference}");
                used.insert(pointer.to_owned());
            }
        });
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(used.contains(&format!("/components/schemas/{name}")), "{name} is not used");
        }
    }
}

#[test]
fn no_rule_is_lost_and_no_operation_id_is_used_twice() {
    let mut ids = Vec::new();
    each_object(&corners(), &mut |object| {
        ids.extend(object.get("operationId").and_then(Value::as_str).map(str::to_owned));
    });
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((count, ids.len()), (17, 17), "{ids:?}");
}

#[test]
fn parameters_are_those_of_the_path_and_are_unique() {
    let check = |path: &str, operation: &Value| {
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        let key = |parameter: &Value| format!("{}:{}", parameter["in"], parameter["name"]);
        let mut keys: Vec<_> = parameters.iter().map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), parameters.len(), "{path}");
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let in_path: Vec<_> = in_path.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
        let holes = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
        assert_eq!(in_path, holes.collect::<Vec<_>>(), "{path}");
    };
    for document in [bookinfo(), echo(), corners()] {
        for (path, item) in document["paths"].as_object().unwrap() {
            for (key, value) in item.as_object().unwrap() {
                match key.as_str() {
                    "x-kit-custom-methods" => value.as_object().unwrap().values().for_each(|v| check(path, v)),
                    "x-kit-more-operations" => {
                        value.as_array().unwrap().iter().for_each(|more| check(path, &more["operation"]));
                    }
                    _ => check(path, value),
                }
            }
        }
    }
}

#[test]
fn paths_that_openapi_takes_for_one_are_one() {
    let document = corners();
    let shelves = &document["paths"]["/v1/shelves/{name}"];
    assert_eq!(shelves["get"]["operationId"], "Shelves_Get");
    let remove = &shelves["delete"];
    assert_eq!(remove["deprecated"], true);
    assert_eq!(remove["parameters"][0]["name"], "name");
    assert_eq!(remove["parameters"][0]["description"], "Fills `title`.");

    let files = &document["paths"]["/v1/files/{name}"];
    assert_eq!(files["get"]["operationId"], "Shelves_One", "the router prefers it");
    let more = &files["x-kit-more-operations"][0];
    assert_eq!(more["template"], "/v1/files/{name=**}");
    assert_eq!(more["operation"]["operationId"], "Shelves_Rest");
    assert_eq!(more["operation"]["parameters"][0]["x-kit-rest-of-path"], true);
}

#[test]
fn parts_of_a_value_get_out_of_the_way_of_fields() {
    assert!(corners()["paths"].get("/v1/clash/a/{name_1_2}/b/{name_2}/{name1}").is_none());
    assert!(corners()["paths"].get("/v1/clash/a/{name_1}/b/{name_2}/{name1}").is_some());
}

#[test]
fn sentences_end_where_the_next_one_begins() {
    let summary = super::comment::summary;
    assert_eq!(summary("Finds one, e.g. by\nits name. Or not.\n\nMore."), "Finds one, e.g. by its name");
    assert_eq!(summary("Reads http.proto"), "Reads http.proto");
    assert_eq!(summary("查书。更多"), "查书。");
    assert_eq!(summary(""), "");
}
