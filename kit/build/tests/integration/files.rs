//! Which files are found and which are written.

use std::{fs, path::Path};

use kit_build::Builder;

use crate::golden::scratch;

/// Writes files into a new folder and generates the first of them; what was written, by name.
fn generate(test: &str, files: &[(&str, &str)], configure: impl Fn(Builder) -> Builder) -> Vec<(String, String)> {
    let folder = scratch(&format!("files-{test}"));
    for (name, text) in files {
        let path = folder.join("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let out = folder.join("out");
    fs::create_dir_all(&out).unwrap();
    let builder = Builder::new().file(folder.join("in").join(files[0].0)).include(folder.join("in")).out_dir(&out);
    configure(builder).compile().unwrap();
    read(&out)
}

fn read(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()))
        .collect();
    files.sort();
    files
}

fn names(files: &[(String, String)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

fn text<'a>(files: &'a [(String, String)], name: &str) -> &'a str {
    &files.iter().find(|(known, _)| known == name).unwrap().1
}

const A: &str = r#"syntax = "proto3"; package a; import "b.proto"; message A { b.B b = 1; }
service S { rpc Do(A) returns (b.B); }"#;
const B: &str = r#"syntax = "proto3"; package b; message B {} service T { rpc Do(B) returns (B); }"#;

#[test]
fn messages_of_imports_are_generated_and_services_are_not() {
    let files = generate("imports", &[("a.proto", A), ("b.proto", B)], |builder| builder);
    assert_eq!(names(&files), ["a.openapi.json", "a.rs", "b.rs", "descriptors.bin", "protos.rs"]);
    assert!(text(&files, "b.rs").contains("pub struct B {}"));
    assert!(!text(&files, "b.rs").contains("trait T"));
}

#[test]
fn extern_types_are_not_generated() {
    let files = generate("extern", &[("a.proto", A), ("b.proto", B)], |builder| {
        builder.extern_path(".b", "::other::proto::b").crate_path("::platform::kit")
    });
    assert_eq!(names(&files), ["a.openapi.json", "a.rs", "descriptors.bin", "protos.rs"]);
    let code = text(&files, "a.rs");
    assert!(code.contains("::core::option::Option<::other::proto::b::B>"));
    assert!(code.contains("impl ::platform::kit::Message for A"));
    assert!(!code.replace("::platform::kit", "").contains("::kit"));
}

#[test]
fn messages_only() {
    let files = generate("messages", &[("a.proto", A), ("b.proto", B)], Builder::messages_only);
    assert_eq!(names(&files), ["a.rs", "b.rs", "descriptors.bin", "protos.rs"]);
    assert!(!text(&files, "a.rs").contains("trait S"));
}

const OPTIONS: &str = r#"syntax = "proto3"; package a; import "google/api/annotations.proto";
message A {} service S { rpc Do(A) returns (A) { option (google.api.http) = { get: "/a" }; } }"#;

#[test]
fn messages_of_options_are_left_out_until_they_are_used() {
    let files = generate("options", &[("a.proto", OPTIONS)], |builder| builder);
    assert_eq!(names(&files), ["a.openapi.json", "a.rs", "descriptors.bin", "protos.rs"]);
    let used =
        r#"syntax = "proto3"; package a; import "google/api/http.proto"; message A { google.api.Http http = 1; }"#;
    let files = generate("options-used", &[("a.proto", used)], |builder| builder);
    assert_eq!(names(&files), ["a.rs", "descriptors.bin", "google.api.rs", "protos.rs"]);
    assert!(text(&files, "google.api.rs").contains("pub struct HttpRule"));
}

#[test]
fn a_file_of_the_users_own_wins() {
    let http =
        include_str!("../../proto/google/api/http.proto").replace("message Http {", "message Http {\n  bool ours = 3;");
    let used =
        r#"syntax = "proto3"; package a; import "google/api/http.proto"; message A { google.api.Http http = 1; }"#;
    let files = generate("own", &[("a.proto", used), ("google/api/http.proto", &http)], |builder| builder);
    assert!(text(&files, "google.api.rs").contains("pub ours: bool"));
}

#[test]
fn more_fields_than_a_byte_counts() {
    let fields: String = (1..=300).map(|number| format!("  string f{number} = {number};\n")).collect();
    let files = generate("many", &[("a.proto", &format!("syntax = \"proto3\"; message Many {{\n{fields}}}"))], |b| b);
    assert!(text(&files, "_.rs").contains(r#"Field::new(299, "f300", "f300")"#));
}

#[test]
fn generating_again_gives_the_same() {
    let build = |test| generate(test, &[("a.proto", A), ("b.proto", B)], |builder| builder.api_version("1"));
    assert_eq!(build("again-1"), build("again-2"));
}
