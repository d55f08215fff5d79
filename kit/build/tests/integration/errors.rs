//! What a person reads when their files are wrong: the whole text, with places.

use std::fs;

use kit_build::Builder;

use crate::golden::scratch;

/// The text of the error of files given as name and content.
fn refusal_of(test: &str, files: &[(&str, &str)]) -> String {
    let folder = scratch(&format!("error-{test}"));
    let mut builder = Builder::new().include(&folder).out_dir(&folder);
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
        builder = builder.file(folder.join(name));
    }
    let error = builder.compile().expect_err("the files are wrong");
    assert_eq!(format!("{error:?}").trim_start(), error.to_string(), "Debug reads like Display");
    error.to_string().replace(&format!("{}/", folder.display()), "")
}

const HEAD: &str = r#"syntax = "proto3";
package t;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
message Req {
  string name = 1;
  repeated string tags = 2;
  map<string, string> labels = 3;
  Sub sub = 4;
  repeated Sub subs = 5;
  google.protobuf.Timestamp at = 6;
}
message Sub { string name = 1; }
message Res { Sub sub = 1; }
service Svc {
"#;

/// The text of the error of one method, whose options begin in line 17.
fn refusal(test: &str, signature: &str, rule: &str) -> String {
    let text = format!("{HEAD}  rpc Do({signature}) {{\n    option (google.api.http) = {{ {rule} }};\n  }}\n}}\n");
    refusal_of(test, &[("t.proto", &text)])
}

const UNARY: &str = "Req) returns (Res";

#[test]
fn bad_template() {
    assert_eq!(
        refusal("template", UNARY, r#"get: "/v1/{name}/""#),
        "t.proto:17:50: invalid path template `/v1/{name}/`: a template does not end with `/`: remove it"
    );
}

#[test]
fn path_field_does_not_exist() {
    assert_eq!(
        refusal("path-missing", UNARY, r#"get: "/v1/{name}/{nmae}""#),
        "t.proto:17:52: path variable `nmae`: `t.Req` has no field `nmae` (it has `name`, `tags`, `labels`, `sub`, `subs`, \
         `at`): name a field of the request by its name in the .proto file"
    );
}

#[test]
fn path_field_is_repeated() {
    assert_eq!(
        refusal("path-repeated", UNARY, r#"get: "/v1/{tags}""#),
        "t.proto:17:45: path variable `tags`: `t.Req.tags` is repeated and a path holds one value: send it in the query or \
         the body"
    );
}

#[test]
fn path_field_is_a_map() {
    assert_eq!(
        refusal("path-map", UNARY, r#"get: "/v1/{labels}""#),
        "t.proto:17:45: path variable `labels`: `t.Req.labels` is a map and a path holds one value: send it in the query or \
         the body"
    );
}

#[test]
fn path_field_is_a_message() {
    assert_eq!(
        refusal("path-message", UNARY, r#"get: "/v1/{sub}""#),
        "t.proto:17:45: path variable `sub`: `t.Req.sub` is a message: bind one of its fields, as in `{sub.field}`"
    );
}

#[test]
fn path_field_is_inside_of_a_repeated_one() {
    assert_eq!(
        refusal("path-inside", UNARY, r#"get: "/v1/{subs.name}""#),
        "t.proto:17:45: path variable `subs.name`: `t.Req.subs` is repeated, so it is not clear which element is meant: bind \
         another field"
    );
}

#[test]
fn path_goes_through_a_scalar() {
    assert_eq!(
        refusal("path-scalar", UNARY, r#"get: "/v1/{name.first}""#),
        "t.proto:17:45: path variable `name.first`: `t.Req.name` is no message and has no fields: end the variable with it"
    );
}

#[test]
fn body_field_does_not_exist() {
    assert_eq!(
        refusal("body-missing", UNARY, r#"post: "/v1" body: "sbu""#),
        "t.proto:17:53: body: `t.Req` has no field `sbu` (it has `name`, `tags`, `labels`, `sub`, `subs`, `at`): name a field \
         of the request, or write \"*\" for all that is not in the path"
    );
}

#[test]
fn body_with_get() {
    assert_eq!(
        refusal("body-get", UNARY, r#"get: "/v1" body: "*""#),
        "t.proto:17:52: a GET request has no body: remove `body` (fields that are not in the path are query parameters), or \
         use another method"
    );
}

#[test]
fn body_with_head() {
    assert_eq!(
        refusal("body-head", UNARY, r#"custom { kind: "HEAD" path: "/v1" } body: "sub""#),
        "t.proto:17:77: a HEAD request has no body: remove `body` (fields that are not in the path are query parameters), or \
         use another method"
    );
}

#[test]
fn body_is_a_path_variable() {
    assert_eq!(
        refusal("body-path", UNARY, r#"post: "/v1/{name}" body: "name""#),
        "t.proto:17:60: `name` is both the body and a path variable, so it would be sent twice: use another field for one of \
         them"
    );
}

#[test]
fn response_body_does_not_exist() {
    assert_eq!(
        refusal("response-body", UNARY, r#"get: "/v1" response_body: "nope""#),
        "t.proto:17:61: response_body: `t.Res` has no field `nope` (it has `sub`): name a field of the answer, or remove \
         `response_body` to send all of it"
    );
}

#[test]
fn rule_without_a_pattern() {
    assert_eq!(
        refusal("pattern", UNARY, r#"body: "*""#),
        "t.proto:17:5: a rule of `t.Svc.Do` has no path: write get, put, post, delete, patch or custom with one"
    );
}

#[test]
fn nested_additional_bindings() {
    assert_eq!(
        refusal("nested", UNARY, r#"get: "/v1" additional_bindings { get: "/v2" additional_bindings { get: "/v3" } }"#),
        "t.proto:17:106: additional_bindings stand inside of additional_bindings: move them one level up, beside the first"
    );
}

#[test]
fn custom_without_a_kind() {
    assert_eq!(
        refusal("kind", UNARY, r#"custom { kind: "" path: "/v1" }"#),
        "t.proto:17:50: \"\" is no HTTP method: write one as in `custom { kind: \"HEAD\" path: \"/v1\" }`"
    );
}

const STREAM: &str = "stream Req) returns (Res";

#[test]
fn client_stream_without_a_body() {
    let expected = "t.proto:17:40: the caller of `t.Svc.Do` sends a stream, one message a line of the body: write `body: \
                    \"*\"`, a method that has a body, and a path without variables";
    assert_eq!(refusal("stream-get", STREAM, r#"get: "/v1""#), expected);
    assert_eq!(refusal("stream-path", STREAM, r#"put: "/v1/{name}" body: "*""#), expected);
    assert_eq!(refusal("stream-field", STREAM, r#"put: "/v1" body: "sub""#), expected);
}

#[test]
fn routes_that_can_not_be_told_apart() {
    let service = |package: &str, template: &str| {
        format!(
            "syntax = \"proto3\";\npackage {package};\nimport \"google/api/annotations.proto\";\nmessage Req {{ string id = 1; \
             }}\nservice Svc {{\n  rpc Do(Req) returns (Req) {{\n    option (google.api.http).get = \"{template}\";\n  }}\n}}\n"
        )
    };
    let files = [("a.proto", service("a", "/v1/{id}")), ("b.proto", service("b", "/v1/{id=*}"))];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(
        refusal_of("conflict", &files),
        "b.proto:7:37: GET `/v1/{id=*}` of `b.Svc.Do` matches the same requests as `/v1/{id}` of `a.Svc.Do` at a.proto:7:37: \
         change the method, a literal or the verb of one of them"
    );
}

#[test]
fn proto2() {
    assert_eq!(
        refusal_of("proto2", &[("t.proto", "\n  syntax = \"proto2\";\nmessage A { optional string b = 1; }\n")]),
        "t.proto:2:3: only proto3 files are generated: write `syntax = \"proto3\";` as the first statement"
    );
    assert_eq!(
        refusal_of("proto2-unsaid", &[("t.proto", "message A { optional string b = 1; }\n")]),
        "t.proto: only proto3 files are generated: write `syntax = \"proto3\";` as the first statement"
    );
}

#[test]
fn names_that_become_one() {
    let text = "syntax = \"proto3\";\npackage t;\nmessage FooClient {}\nmessage A {\n  string fooBar = 1;\n}\nmessage URLs {}\n\
                message UrLs {}\nenum Kind {\n  KIND_X = 0;\n  X = 1;\n}\nservice Foo {\n  rpc GetIt(A) returns (A);\n  rpc \
                get_it(A) returns (A);\n}\nmessage B {\n  string foo_bar = 1;\n  oneof fooBar { string x = 2; }\n}\n";
    assert_eq!(
        refusal_of("names", &[("t.proto", text)]),
        "t.proto:8:9: the message `t.UrLs` and the message `t.URLs` at t.proto:7:9 both become the Rust type `UrLs`: rename \
         one of them\n\
         t.proto:19:9: the oneof `t.B.fooBar` and the field `t.B.foo_bar` at t.proto:18:10 both become the Rust field \
         `foo_bar`: rename one of them\n\
         t.proto:11:3: the value `X` and the value `KIND_X` at t.proto:10:3 both become the Rust variant `X`: rename one of \
         them\n\
         t.proto:13:9: the client of the service `t.Foo` and the message `t.FooClient` at t.proto:3:9 both become the Rust \
         type `FooClient`: rename one of them\n\
         t.proto:15:7: the method `t.Foo.get_it` and the method `t.Foo.GetIt` at t.proto:14:7 both become the Rust function \
         `get_it`: rename one of them"
    );
}

#[test]
fn a_package_beside_a_message_with_nested_types() {
    let outer = "syntax = \"proto3\";\npackage t;\nmessage Sub { message In {} }\n";
    let inner = "syntax = \"proto3\";\npackage t.sub;\nmessage Other {}\n";
    assert_eq!(
        refusal_of("module", &[("outer.proto", outer), ("inner.proto", inner)]),
        "outer.proto:3:9: the message `t.Sub` and the package `t.sub` both become the Rust module `sub`: rename one of them"
    );
}

#[test]
fn names_without_letters() {
    assert_eq!(
        refusal_of("letters", &[("t.proto", "syntax = \"proto3\";\npackage t;\nmessage A {\n  string __ = 1;\n}\n")]),
        "t.proto:4:10: the field `t.A.__` has no letters and can't be named in Rust: rename it"
    );
}

#[test]
fn syntax_errors_of_all_files() {
    assert_eq!(
        refusal_of(
            "syntax",
            &[
                ("a.proto", "syntax = \"proto3\";\nmessage A {\n  string 1 = b;\n}\n"),
                ("b.proto", "syntax = \"proto3\";\nmessage B {\n  Nope nope = 1;\n  Never never = 2;\n}\n"),
            ]
        ),
        "a.proto:3:10: expected an identifier, but found '1'\nb.proto:3:3: name 'Nope' is not defined\nb.proto:4:3: name \
         'Never' is not defined"
    );
}

#[test]
fn files_that_are_not_there() {
    let error = |builder: Builder| builder.out_dir(scratch("error-missing")).compile().unwrap_err().to_string();
    assert_eq!(
        error(Builder::new().file("proto/nope.proto").include("proto")),
        "proto/nope.proto: there is no such file: paths are relative to the package's folder"
    );
    assert_eq!(error(Builder::new()), "no .proto file was given: name at least one");
    assert_eq!(
        refusal_of("import", &[("t.proto", "syntax = \"proto3\";\nimport \"nope.proto\";\n")]),
        "t.proto:2:1: import 'nope.proto' not found"
    );
    let folder = scratch("error-outside");
    fs::write(folder.join("t.proto"), "syntax = \"proto3\";\n").unwrap();
    let text = error(Builder::new().file(folder.join("t.proto")).include("proto"));
    assert_eq!(
        text.replace(&format!("{}/", folder.display()), ""),
        "t.proto: the file is in none of the include folders (`proto`): add the folder that its imports are relative to"
    );
}

#[test]
fn extern_paths_that_are_none() {
    let folder = scratch("error-extern");
    fs::write(folder.join("t.proto"), "syntax = \"proto3\";\n").unwrap();
    let error = |proto: &str, rust: &str| {
        let builder = Builder::new().file(folder.join("t.proto")).include(&folder).out_dir(&folder);
        builder.extern_path(proto, rust).compile().unwrap_err().to_string()
    };
    assert_eq!(
        error("comments", "crate::comments"),
        "extern_path(\"comments\", ..): write a package or a type with a dot before it, as in \".comments\""
    );
    assert_eq!(error(".comments", "a b"), "extern_path(\".comments\", \"a b\"): \"a b\" is not a Rust path");
}

/// The text of the error of a message whose inside stands in line 5 of its file.
fn rule_refusal(test: &str, inside: &str) -> String {
    let head = "syntax = \"proto3\";\npackage t;\nimport \"buf/validate/validate.proto\";\n";
    let tail = "message B {}\nextend buf.validate.StringRules { bool ours = 1000; }\n";
    let mask = "import \"google/protobuf/field_mask.proto\"; import \"google/protobuf/duration.proto\";";
    refusal_of(&format!("rule-{test}"), &[("t.proto", &format!("{head}{mask}\nmessage A {{\n{inside}\n}}\n{tail}"))])
}

#[test]
fn rules_that_are_cel() {
    let why = "CEL rules are not supported, because they would have to be interpreted when a request comes: use standard rules, or \
               check it in the handler";
    for (test, inside, what) in [
        (
            "cel",
            r#"string x = 1 [(buf.validate.field).cel = {id: "a", expression: "this != ''"}];"#,
            "`cel` of `t.A.x`",
        ),
        ("cel-text", r#"string x = 1 [(buf.validate.field).cel_expression = "true"];"#, "`cel_expression` of `t.A.x`"),
        ("cel-message", r#"option (buf.validate.message).cel = {id: "a", expression: "true"};"#, "`cel` of `t.A`"),
        (
            "cel-item",
            r#"repeated string x = 1 [(buf.validate.field).repeated.items.cel_expression = "true"];"#,
            "`cel_expression` of an item of `t.A.x`",
        ),
        (
            "cel-key",
            r#"map<string, string> x = 1 [(buf.validate.field).map.keys.cel_expression = "true"];"#,
            "`cel_expression` of a key of `t.A.x`",
        ),
    ] {
        let text = rule_refusal(test, inside);
        let (place, text) = text.split_once(": ").unwrap();
        assert_eq!(text, format!("{what}: {why}"));
        assert!(place.starts_with("t.proto:6:"), "{place}");
    }
}

#[test]
fn rules_that_are_predefined_or_unknown() {
    assert_eq!(
        rule_refusal("predefined", "string x = 1 [(buf.validate.field).string.(ours) = true];"),
        "t.proto:6:14: `t.ours` of `t.A.x`: predefined rules are not supported, because they are CEL: use standard rules, or \
         check it in the handler"
    );
    assert_eq!(
        rule_refusal("mask", r#"google.protobuf.FieldMask x = 1 [(buf.validate.field).field_mask = {in: ["a"]}];"#),
        "t.proto:6:34: `in` of `t.A.x`: this rule is not supported: use another one, or check it in the handler"
    );
}

#[test]
fn rules_that_do_not_fit_their_field() {
    let fit = |test, field: &str| rule_refusal(test, field).split_once(": ").unwrap().1.to_owned();
    assert_eq!(
        fit("number", "int32 x = 1 [(buf.validate.field).string.min_len = 1];"),
        "`string` rules don't fit `t.A.x`, which is `int32`: write `int32`"
    );
    assert_eq!(
        fit("width", "sint64 x = 1 [(buf.validate.field).int64.gt = 1];"),
        "`int64` rules don't fit `t.A.x`, which is `sint64`: write `sint64`"
    );
    assert_eq!(
        fit("list", "repeated string x = 1 [(buf.validate.field).string.min_len = 1];"),
        "`string` rules don't fit `t.A.x`, which is repeated: write `repeated.items` for those of its items"
    );
    assert_eq!(
        fit("map", "map<string, string> x = 1 [(buf.validate.field).repeated.min_items = 1];"),
        "`repeated` rules don't fit `t.A.x`, which is a map: write `map.keys` and `map.values` for those of its entries"
    );
    assert_eq!(
        fit("message", "B x = 1 [(buf.validate.field).string.min_len = 1];"),
        "`string` rules don't fit `t.A.x`, which is a `t.B`: remove them"
    );
    assert_eq!(
        fit("unique", "repeated B x = 1 [(buf.validate.field).repeated.unique = true];"),
        "`unique` is for scalars and enums, and `t.A.x` has messages: remove it"
    );
    assert_eq!(
        fit("required", "repeated B x = 1 [(buf.validate.field).repeated.items.required = true];"),
        "`required` means nothing for an item of `t.A.x`, which is always there: remove it"
    );
    assert_eq!(
        fit("group", "option (buf.validate.message).oneof = {fields: [\"x\", \"y\"]}; string x = 1;"),
        "`oneof`: `t.A` has no field `y`: name its fields"
    );
}

#[test]
fn patterns_that_are_no_regular_expressions() {
    assert_eq!(
        rule_refusal("pattern", r#"string x = 1 [(buf.validate.field).string.pattern = "a(b"];"#),
        "t.proto:6:14: the pattern `a(b` of `t.A.x` is no regular expression: unclosed group"
    );
}
