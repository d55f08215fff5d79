//! HTTP/JSON, by the generated client and by bytes.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use kit::{
    Code, Context, Endpoint, Error, Streaming,
    client::Channel,
    middleware::StandardStack,
    proto::google::api::HttpBody,
    server::Server,
    transport::http::{CorsConfig, HttpConfig},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    calls,
    chat::proto::chat::{CHAT_TALK, ChatEndpoints, Line},
    echo::{EchoService, proto::tc::v1::EchoEndpoints},
    extra::extra::{
        AttachRequest, Author, Book, DownloadRequest, Extra, ExtraClient, ExtraEndpoints, UpdateBookRequest, Uploaded,
    },
    support::{Answer, Running, counting, get, line, post, raw, request, room, saying, soon},
};

mod parts;
mod registry;
mod stream;

macro_rules! over_http {
    ($($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            calls::$name(Running::http_url).await;
        })*
    };
}

over_http! {
    every_kind
    metadata_travels_both_ways
    errors_come_back_whole
    every_code_comes_back
    a_stream_may_end_with_an_error
    a_failing_request_stream_is_no_complete_one
    the_request_id_goes_through_every_hop
    the_deadline_goes_through_every_hop_and_is_clamped
    the_deadline_ends_a_call
    hanging_up_is_noticed
    an_unreachable_service_is_unavailable
}

const JSON: &str = "content-type: application/json";
const LINES: &str = "content-type: application/x-ndjson";

async fn accepting(server: &Running, target: &str, accept: &str) -> Answer {
    request(server.http, "GET", target, &[&format!("accept: {accept}")], b"").await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn gzip_both_ways() {
    let server = Running::serve(&room()).await;
    let text = "again and ".repeat(1000);
    let body = gzip(json!({"text": text}).to_string().as_bytes());
    let zipped = [JSON, "content-encoding: gzip", "accept-encoding: gzip"];
    let answer = request(server.http, "POST", "/v1/say", &zipped, &body).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")));
    assert!(answer.header("vary").is_some_and(|vary| vary.to_ascii_lowercase().contains("accept-encoding")));
    assert!(answer.body.len() < text.len() / 10);
    let mut plain = String::new();
    GzDecoder::new(answer.body.as_slice()).read_to_string(&mut plain).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&plain).unwrap()["text"], text.to_uppercase());

    // Not for those who did not ask, nor where it would cost more than it saves, nor for streams.
    let answer = request(server.http, "POST", "/v1/say", &zipped[..2], &body).await;
    assert_eq!((answer.header("content-encoding"), &answer.json()["text"]), (None, &json!(text.to_uppercase())));
    let small = [JSON, "accept-encoding: gzip"];
    assert_eq!(request(server.http, "POST", "/v1/say", &small, b"{}").await.header("content-encoding"), None);
    let answer = request(server.http, "GET", "/v1/count/2000", &["accept-encoding: gzip"], b"").await;
    assert_eq!((answer.header("content-encoding"), answer.text().lines().count()), (None, 2000));

    // What is not taken is refused, what is no gzip too, and a switch turns it off.
    let answer = request(server.http, "POST", "/v1/say", &[JSON, "content-encoding: br"], b"x").await;
    assert_eq!((answer.status, &answer.json()["code"]), (415, &json!(3)));
    assert_eq!(request(server.http, "POST", "/v1/say", &zipped, b"no gzip at all").await.status, 400);
    assert_eq!(request(server.http, "POST", "/v1/say", &zipped, &body[..body.len() / 2]).await.status, 400);
    let config = HttpConfig { compression: false, ..HttpConfig::default() };
    let off = Running::start(Server::new().http_config(config).service(&room())).await;
    assert_eq!(request(off.http, "POST", "/v1/say", &zipped, &body).await.status, 415);
    let answer = request(off.http, "POST", "/v1/say", &small, json!({"text": text}).to_string().as_bytes()).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
}

#[tokio::test]
async fn cors_by_configuration() {
    const PREFLIGHT: [&str; 3] = [
        "origin: https://shop.example",
        "access-control-request-method: POST",
        "access-control-request-headers: content-type,x-request-id",
    ];
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    let closed = Running::serve(&EchoEndpoints::new(EchoService)).await;
    let answer = request(closed.http, "OPTIONS", "/v1/all", &PREFLIGHT, b"").await;
    assert_eq!((answer.status, allowed(&answer)), (405, None));
    assert_eq!(allowed(&request(closed.http, "GET", "/v1/query", &PREFLIGHT[..1], b"").await), None);

    let origins = vec!["https://shop.example".to_owned(), "https://other.example".to_owned()];
    let cors = CorsConfig { origins, expose: vec!["x-request-id".to_owned()], ..CorsConfig::default() };
    let config = HttpConfig { cors, ..HttpConfig::default() };
    let server = Server::new().http_config(config.clone()).service(&EchoEndpoints::new(EchoService));
    let server = Running::start(server).await;
    let answer = request(server.http, "OPTIONS", "/v1/all", &PREFLIGHT, b"").await;
    assert_eq!((answer.status, allowed(&answer).as_deref()), (200, Some("https://shop.example")));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type,x-request-id"));
    assert!(answer.header("vary").is_some());
    let answer = request(server.http, "GET", "/v1/query", &PREFLIGHT[..1], b"").await;
    assert_eq!((answer.status, allowed(&answer).as_deref()), (200, Some("https://shop.example")));
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-request-id"));
    // Errors can be read by the page, too.
    let answer = request(server.http, "GET", "/nowhere", &PREFLIGHT[..1], b"").await;
    assert_eq!((answer.status, allowed(&answer).as_deref()), (404, Some("https://shop.example")));
    let answer = request(server.http, "GET", "/v1/query", &["origin: https://evil.example"], b"").await;
    assert_eq!((answer.status, allowed(&answer)), (200, None));
    // gRPC-Web is for browsers: the gRPC port answers them alike.
    let answer = request(server.grpc, "OPTIONS", "/tc.v1.Echo/Query", &PREFLIGHT, b"").await;
    assert_eq!((answer.status, allowed(&answer).as_deref()), (200, Some("https://shop.example")));

    // An RPC may itself be OPTIONS.
    let answer = request(server.http, "OPTIONS", "/v1/opts/me", &PREFLIGHT[..1], b"").await;
    assert_eq!((answer.status, &answer.json()["opt"], allowed(&answer).is_some()), (200, &json!("options"), true));
    let answer = request(server.http, "LINK", "/v1/opts/me", &[], b"").await;
    assert_eq!(answer.json()["opt"], "link");

    for (origins, credentials) in
        [(vec!["*"], true), (vec!["shop.example"], false), (vec!["https://a.example/"], false)]
    {
        let cors = CorsConfig {
            origins: origins.into_iter().map(str::to_owned).collect(),
            credentials,
            ..CorsConfig::default()
        };
        let config = HttpConfig { cors, ..HttpConfig::default() };
        let error = Server::new().http_config(config).http("127.0.0.1:0").bind().await.unwrap_err();
        assert!(error.to_string().starts_with("cors: "), "{error}");
    }
}

#[tokio::test]
async fn head_is_a_get_without_its_body() {
    let server = Running::serve(&EchoEndpoints::new(EchoService)).await;
    for target in ["/v1/query?name=x", "/v1/raw/me", "/openapi.json", "/docs/"] {
        let (head, whole) = (request(server.http, "HEAD", target, &[], b"").await, get(server.http, target).await);
        assert_eq!((head.status, head.header("content-type")), (200, whole.header("content-type")), "{target}");
        assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()), "{target}");
        assert!(head.body.is_empty(), "{target}");
    }
    let head = request(server.http, "HEAD", "/v1/fail/5", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    let head = request(server.http, "HEAD", "/v1/stream/3", &[], b"").await;
    assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, Some("application/x-ndjson"), 0));
    assert_eq!(request(server.http, "HEAD", "/nowhere", &[], b"").await.status, 404);
    // There is no GET behind this one.
    assert_eq!(request(server.http, "HEAD", "/v1/all", &[], b"").await.status, 405);
}

#[tokio::test]
async fn the_documentation_is_served() {
    let server = Server::new().service(&room()).service(&EchoEndpoints::new(EchoService));
    let server = Running::start(server).await;
    let answer = get(server.http, "/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    // Both services are in it.
    for path in ["/v1/say", "/v1/query"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    let page = get(server.http, "/docs/").await;
    // What the page reads, found as a browser finds it.
    let text = page.text();
    let document = text.split("data-openapi=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(document, "../openapi.json");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    // Offline: everything that the page loads is served here.
    let text = page.text();
    for part in text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
        assert_eq!(get(server.http, &format!("/docs/{}", part.trim_start_matches("./"))).await.status, 200, "{part}");
    }
    assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    let answer = get(server.http, "/docs").await;
    assert_eq!((answer.status, answer.header("location")), (308, Some("/docs/")));
    assert_eq!(request(server.http, "POST", "/openapi.json", &[JSON], b"{}").await.status, 404);

    let config = HttpConfig { docs: false, ..HttpConfig::default() };
    let server = Running::start(Server::new().http_config(config).service(&room())).await;
    assert_eq!(get(server.http, "/openapi.json").await.status, 404);
    assert_eq!(get(server.http, "/docs/").await.status, 404);
}

#[tokio::test]
async fn what_travels_in_headers() {
    let server = Running::serve(
        &saying(|cx, said| async move {
            cx.set_response_metadata("x-shelf", "7")?;
            cx.set_response_metadata("content-length", "1")?;
            match said.text.as_str() {
                "fail" => Err(calls::rich_error()),
                "deadline" => {
                    Ok(line(if cx.remaining().unwrap() <= Duration::from_secs(3) { "clamped" } else { "not" }))
                }
                _ => Ok(line(cx.request_id().as_str())),
            }
        })
        .with(&StandardStack::default()),
    )
    .await;
    let say = async |text: &str, header: &str| {
        request(server.http, "POST", "/v1/say", &[JSON, header], json!({"text": text}).to_string().as_bytes()).await
    };
    let id = |answer: &Answer| answer.header("x-request-id").unwrap().to_owned();

    let answer = say("", "x-request-id: abc-123").await;
    assert_eq!((id(&answer).as_str(), &answer.json()["text"]), ("abc-123", &json!("abc-123")));
    assert_eq!((answer.complete, answer.header("x-shelf")), (true, Some("7")));
    let answer = say("", "x-other: 1").await;
    assert_eq!((id(&answer).len(), &answer.json()["text"]), (32, &json!(id(&answer))));

    // Errors have it all, too: also those that no handler made.
    let answer = say("fail", "x-request-id: abc-123").await;
    assert_eq!((answer.status, id(&answer).as_str()), (429, "abc-123"));
    assert_eq!((answer.header("retry-after"), answer.header("x-shelf")), (Some("2"), Some("7")));
    assert!(!answer.text().contains("SECRET"), "{}", answer.text());
    let kinds: Vec<_> = answer.json()["details"].as_array().unwrap().iter().map(|d| d["@type"].clone()).collect();
    let kind = |name: &str| json!(format!("type.googleapis.com/google.{name}"));
    assert_eq!(
        kinds,
        [kind("rpc.ErrorInfo"), kind("rpc.BadRequest"), kind("rpc.RetryInfo"), kind("protobuf.Timestamp")]
    );
    for (method, target, body, status) in [
        ("GET", "/nowhere", "", 404),
        ("DELETE", "/v1/say", "", 405),
        ("POST", "/v1/say", "{", 400),
        ("GET", "/v1/count/x", "", 400),
    ] {
        let answer = request(server.http, method, target, &[JSON, "x-request-id: abc-123"], body.as_bytes()).await;
        assert_eq!((answer.status, id(&answer).as_str()), (status, "abc-123"), "{method} {target}");
    }

    assert_eq!(say("deadline", "Grpc-Timeout: 3S").await.json()["text"], "clamped");
    let answer = say("deadline", "Grpc-Timeout: 0n").await;
    assert_eq!((answer.status, &answer.json()["code"]), (504, &json!(4)));
}

#[tokio::test]
async fn routes_of_your_own_come_after_those_of_services() {
    let routes = axum::Router::new()
        .route("/hello", axum::routing::get(|| async { "by axum" }))
        .route("/v1/count/{to}", axum::routing::get(|| async { "never" }));
    let server = Running::start(Server::new().service(&room()).routes(routes)).await;
    assert_eq!(get(server.http, "/hello").await.text(), "by axum");
    assert_eq!(get(server.http, "/v1/count/1").await.json()["text"], "1");
    assert_eq!(get(server.http, "/nowhere").await.status, 404);
    assert_eq!(get(server.http, "/openapi.json").await.status, 200);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_call() {
    let server = Running::serve(&room()).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    for n in ["1", "2", "3"] {
        // An error must not cost the connection either.
        for (target, wanted) in
            [(format!("/v1/count/{n}"), format!("\"text\":\"{n}\"")), ("/nowhere".to_owned(), "\"code\":5".to_owned())]
        {
            stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: t\r\n\r\n").as_bytes()).await.unwrap();
            let mut received = String::new();
            soon(async {
                // The one is chunked, the other has a length; both end with the JSON.
                while !(received.contains(&wanted) && (received.ends_with("0\r\n\r\n") || received.ends_with('}'))) {
                    let mut bytes = Vec::new();
                    assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{received}");
                    received.push_str(&String::from_utf8(bytes).unwrap());
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn two_services_with_one_route_are_refused() {
    let error = Server::new().http("127.0.0.1:0").service(&room()).service(&room()).bind().await.unwrap_err();
    assert!(error.to_string().contains("/v1/say"), "{error}");
}

#[tokio::test]
async fn http2_without_tls_is_taken_too() {
    let server = Running::serve(&room()).await;
    // The preface of HTTP/2 and an empty SETTINGS frame: the server answers with its own.
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    soon(stream.read_exact(&mut frame)).await.unwrap();
    assert_eq!(frame[3], 4, "a SETTINGS frame");
    drop(stream);
    let answer = raw(server.http, b"GET /v1/count/1 HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.status, 200);
}
