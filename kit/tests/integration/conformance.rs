//! The facts about HTTP transcoding, every one against a real socket.
//!
//! `docs/transcoding.md` says what was chosen where trusted gateways disagree (`dialect`).

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};

use crate::{
    echo::{
        EchoService,
        proto::tc::v1::{ECHO, EchoEndpoints},
    },
    support::{Running, get, raw, request},
};

fn message_type() -> MessageDescriptor {
    DescriptorPool::decode(ECHO.descriptors).unwrap().get_message_by_name("tc.v1.Msg").unwrap()
}

/// The oracle reads both sides, so a mistake of the kit's reader can't hide one of its writer.
///
/// Decoded and written again by the oracle: NaN is then equal to NaN, and a difference can be printed.
fn decoded(value: &Value) -> Value {
    let message = DynamicMessage::deserialize(message_type(), value).unwrap_or_else(|e| panic!("{e}: {value}"));
    serde_json::to_value(message).unwrap()
}

fn body_of(request: &Value) -> Vec<u8> {
    match &request["body"] {
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(hex) => {
            let hex = hex["hex"].as_str().unwrap();
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
        }
        _ => Vec::new(),
    }
}

/// What is wrong with the answer to a case; empty when it is right.
async fn check(server: &Running, case: &Value) -> String {
    let sent = &case["request"];
    let content_type = sent["content_type"].as_str().map(|t| format!("content-type: {t}"));
    let headers: Vec<&str> = content_type.iter().map(String::as_str).collect();
    let (method, target) = (sent["method"].as_str().unwrap(), sent["target"].as_str().unwrap());
    let answer = request(server.http, method, target, &headers, &body_of(sent)).await;
    let expect = &case["expect"];
    if u64::from(answer.status) != expect["http_status"].as_u64().unwrap() {
        return format!("status {} and {}, expected {}", answer.status, answer.text(), expect["http_status"]);
    }
    if let Some(message) = expect.get("message") {
        let (got, wanted) = (decoded(&answer.json()), decoded(message));
        if got != wanted {
            return format!("{got}, expected {wanted}");
        }
    }
    let raw = &expect["raw_body"];
    if let Some(wanted) = raw.get("json")
        && answer.json() != *wanted
        && (!wanted.is_object() || !contains(&answer.json(), wanted))
    {
        return format!("{}, expected {wanted}", answer.text());
    }
    if let Some(wanted) = raw.get("json_subset")
        && !contains(&answer.json(), wanted)
    {
        return format!("{}, expected at least {wanted}", answer.text());
    }
    if let Some(wanted) = raw.get("stream") {
        let got: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if got.len() != wanted.as_array().unwrap().len() {
            return format!("{got:?}, expected {wanted}");
        }
    }
    String::new()
}

fn contains(value: &Value, part: &Value) -> bool {
    part.as_object().unwrap().iter().all(|(key, wanted)| value.get(key) == Some(wanted))
}

#[tokio::test]
async fn every_binding_holds() {
    let server = Running::serve(&EchoEndpoints::new(EchoService)).await;
    let facts: Value = serde_json::from_str(include_str!("../data/transcoding.json")).unwrap();
    let cases = facts["bindings"].as_array().unwrap();
    assert_eq!(cases.len(), 104);
    let mut wrong = Vec::new();
    for case in cases {
        let problem = check(&server, case).await;
        if !problem.is_empty() {
            wrong.push(format!("{}: {problem}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} do not hold:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn every_code_has_its_status() {
    let server = Running::serve(&EchoEndpoints::new(EchoService)).await;
    let facts: Value = serde_json::from_str(include_str!("../data/transcoding.json")).unwrap();
    for (name, status) in facts["status_map"].as_object().unwrap() {
        let code = kit::Code::ALL.into_iter().find(|code| code.name() == name).unwrap();
        let answer = get(server.http, &format!("/v1/fail/{}?message=m", code as i32)).await;
        assert_eq!(u64::from(answer.status), status.as_u64().unwrap(), "{name}");
    }
}

#[tokio::test]
async fn a_target_without_a_slash_is_a_bad_request() {
    let server = Running::serve(&EchoEndpoints::new(EchoService)).await;
    let answer = raw(server.http, b"POST foo HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    assert_eq!(answer.status, 400);
}

/// Cases of our own, for what the facts leave out.
#[tokio::test]
async fn what_the_facts_leave_out() {
    let server = Running::serve(&EchoEndpoints::new(EchoService)).await;
    let json = "content-type: application/json";
    let call = async |method: &str, target: &str, body: &str| {
        let headers = if body.is_empty() { vec![] } else { vec![json] };
        request(server.http, method, target, &headers, body.as_bytes()).await
    };

    // PUT: a path variable inside the body's field wins over the body.
    let answer = call("PUT", "/v1/subs/9", r#"{"name":"other","n":"3"}"#).await;
    assert_eq!(
        (answer.status, &answer.json()["sub"]["name"], &answer.json()["sub"]["n"]),
        (200, &json!("subs/9"), &json!("3"))
    );

    // The names of unknown parameters are said; those of wrong values too.
    let answer = call("GET", "/v1/query?nope=1", "").await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["message"].as_str().unwrap().contains("nope"), "{}", answer.text());
    assert_eq!(answer.json()["details"][0]["fieldViolations"][0]["field"], "nope");

    // Defaults are written, what has presence is left out; 64 bits are strings, enums names.
    let answer = call("GET", "/v1/query", "").await.json();
    assert_eq!(
        (&answer["i64"], &answer["kind"], &answer["tags"]),
        (&json!("0"), &json!("KIND_UNSPECIFIED"), &json!([]))
    );
    assert!(answer.get("opt").is_none() && answer.get("ts").is_none() && answer.get("pickA").is_none());

    // A body of a rule that names a list, a scalar; an empty body leaves the field at its default.
    assert_eq!(call("POST", "/v1/listbody", r#"["a","b"]"#).await.json()["tags"], json!(["a", "b"]));
    assert_eq!(call("POST", "/v1/scalarbody", r#""x""#).await.json()["name"], "x");
    assert_eq!(call("POST", "/v1/listbody", "").await.json()["tags"], json!([]));

    // 405 says what is allowed, 415 what is taken.
    let answer = call("DELETE", "/v1/query", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    let answer = request(server.http, "POST", "/v1/all", &["content-type: text/plain"], b"x").await;
    assert_eq!(answer.status, 415);

    // Raw bytes both ways.
    let answer = call("GET", "/v1/raw/me", "").await;
    assert_eq!((answer.header("content-type"), answer.text().as_str()), (Some("text/html"), "<h1>me</h1>"));
    let answer = request(server.http, "POST", "/v1/raw", &["content-type: image/png"], &[0, 255, 7]).await;
    assert_eq!((answer.header("content-type"), answer.body.as_slice()), (Some("image/png"), &[0u8, 255, 7][..]));
}
