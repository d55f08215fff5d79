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

/// The three forms of a stream: what is accepted, the content type, and the text of the messages `1` and `2`.
const FORMS: [(&str, &str, &str); 3] = [
    ("application/x-ndjson", "application/x-ndjson", "{\"text\":\"1\"}\n{\"text\":\"2\"}\n"),
    ("text/event-stream", "text/event-stream", "data: {\"text\":\"1\"}\n\ndata: {\"text\":\"2\"}\n\n"),
    ("application/json", "application/json", "[{\"text\":\"1\"},{\"text\":\"2\"}]"),
];

#[tokio::test]
async fn a_stream_comes_in_the_form_that_is_accepted() {
    let server = Running::serve(&room().with(&StandardStack::default())).await;
    for (accept, content_type, text) in FORMS {
        let answer = accepting(&server, "/v1/count/2", accept).await;
        assert_eq!((answer.status, answer.header("content-type"), &*answer.text()), (200, Some(content_type), text));
        assert_eq!((answer.complete, answer.header("cache-control")), (true, Some("no-store")));
    }
    for accept in ["*/*", "text/html, */*;q=0.1"] {
        assert_eq!(accepting(&server, "/v1/count/2", accept).await.text(), FORMS[0].2, "{accept}");
    }
    assert_eq!(get(server.http, "/v1/count/2").await.text(), FORMS[0].2);
    assert_eq!(accepting(&server, "/v1/count/0", "application/json").await.text(), "[]");
    assert_eq!(accepting(&server, "/v1/count/0", "text/event-stream").await.text(), "");

    let answer = accepting(&server, "/v1/count/2", "image/png").await;
    assert_eq!((answer.status, &answer.json()["code"]), (406, &json!(3)));
    assert!(answer.json()["message"].as_str().unwrap().contains("text/event-stream"), "{}", answer.text());
}

#[tokio::test]
async fn an_error_in_mid_stream_is_said_and_the_body_is_broken_off() {
    let server = Running::serve(
        &counting(|_, _| async {
            let error = torn();
            Ok(Streaming::new(tokio_stream::iter([Ok(line("1")), Ok(line("2")), Err(error)])))
        })
        .with(&StandardStack::default()),
    )
    .await;
    for (accept, _, text) in FORMS {
        let answer = accepting(&server, "/v1/count/9", accept).await;
        assert_eq!((answer.status, answer.complete), (200, false), "{accept}");
        let body = answer.text();
        let rest = body.strip_prefix(text.trim_end_matches(']')).unwrap_or_else(|| panic!("{accept}: {body}"));
        let error: Value =
            serde_json::from_str(rest.trim_start_matches("event: error\ndata: ").trim_start_matches(',').trim_end())
                .unwrap_or_else(|e| panic!("{accept}: {e}: {rest}"));
        assert_eq!(error["error"]["code"], 15, "{accept}");
        assert_eq!(error["error"]["message"], "the tape is torn");
        assert_eq!(error["error"]["details"][0]["reason"], "TORN");
        assert!(!body.contains("SECRET"), "{body}");
        if accept == "text/event-stream" {
            assert!(rest.starts_with("event: error\n"), "{rest}");
        }
    }
}

fn torn() -> Error {
    Error::new(Code::DataLoss, "the tape is torn").with_reason("TORN", "demo.example").with_log("SECRET")
}

#[tokio::test]
async fn an_error_at_the_start_of_a_stream_is_the_status() {
    let server = Running::serve(
        &counting(|_, _| async { Ok(Streaming::new(tokio_stream::iter([Err(Error::not_found("no such number"))]))) })
            .with(&StandardStack::default()),
    )
    .await;
    for (accept, ..) in FORMS {
        let answer = accepting(&server, "/v1/count/9", accept).await;
        assert_eq!((answer.status, answer.complete), (404, true), "{accept}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["message"], "no such number");
    }
}

#[tokio::test]
async fn messages_of_a_stream_come_as_they_are_made() {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let server = Running::serve(&counting(move |_, _| {
        let mut receiver = receiver.lock().unwrap().take().unwrap();
        async move { Ok(Streaming::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))) }
    }))
    .await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    // A client that takes gzip must not wait for a buffer to fill.
    stream.write_all(b"GET /v1/count/9 HTTP/1.1\r\nhost: t\r\naccept-encoding: gzip\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    for text in ["one", "two"] {
        sender.send(Ok(line(text))).await.unwrap();
        let wanted = format!("{{\"text\":\"{text}\"}}\n");
        soon(async {
            while !received.windows(wanted.len()).any(|w| w == wanted.as_bytes()) {
                assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0, "{received:?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn client_streams_and_both_ways_by_lines() {
    let server = Running::serve(&room()).await;
    let body = b"{\"text\":\"one\"}\n\n{\"text\":\"two\"}\r\n{\"text\":\"three\"}";
    let answer = request(server.http, "POST", "/v1/dictate", &[LINES], body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"lines": 3, "letters": "11"})));
    let answer = request(server.http, "POST", "/v1/talk", &[LINES], body).await;
    assert_eq!(
        answer.text(),
        "{\"text\":\"you said: one\"}\n{\"text\":\"you said: two\"}\n{\"text\":\"you said: three\"}\n"
    );
    // Nothing is a stream of nothing.
    assert_eq!(request(server.http, "POST", "/v1/dictate", &[LINES], b"").await.json()["lines"], 0);
    // A broken line ends the call with its error.
    let answer = request(server.http, "POST", "/v1/dictate", &[LINES], b"{\"text\":\"one\"}\n{\"text\":").await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(3)));
    assert_eq!(request(server.http, "POST", "/v1/dictate", &["content-type: text/csv"], b"a").await.status, 415);
    assert_eq!(get(server.http, "/v1/count/1").await.status, 200);
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

struct Library;

impl Extra for Library {
    async fn update_book(&self, _cx: &Context, request: UpdateBookRequest) -> Result<UpdateBookRequest, Error> {
        Ok(request)
    }

    async fn download(&self, _cx: &Context, request: DownloadRequest) -> Result<Streaming<HttpBody>, Error> {
        Ok(Streaming::from_iter((0..request.parts).map(|n| HttpBody {
            content_type: if n == 0 { "image/png".to_owned() } else { String::new() },
            data: vec![u8::try_from(n).unwrap(), 0, 255],
            extensions: Vec::new(),
        })))
    }

    async fn upload(&self, _cx: &Context, mut parts: Streaming<HttpBody>) -> Result<Uploaded, Error> {
        let mut uploaded = Uploaded::default();
        while let Some(part) = parts.message().await? {
            if uploaded.bytes == 0 {
                uploaded.content_type = part.content_type;
            }
            uploaded.bytes += i64::try_from(part.data.len()).unwrap();
        }
        Ok(uploaded)
    }

    async fn mirror(&self, _cx: &Context, parts: Streaming<HttpBody>) -> Result<Streaming<HttpBody>, Error> {
        Ok(parts)
    }

    async fn attach(&self, _cx: &Context, request: AttachRequest) -> Result<AttachRequest, Error> {
        Ok(request)
    }

    async fn cover(&self, _cx: &Context, request: AttachRequest) -> Result<AttachRequest, Error> {
        Ok(request)
    }

    async fn hidden(&self, _cx: &Context, request: DownloadRequest) -> Result<DownloadRequest, Error> {
        Ok(request)
    }
}

async fn library() -> Running {
    Running::serve(&ExtraEndpoints::new(Library).with(&StandardStack::default())).await
}

#[tokio::test]
async fn patch_fills_the_field_mask() {
    let server = library().await;
    let patch = async |target: &str, body: &str| request(server.http, "PATCH", target, &[JSON], body.as_bytes()).await;
    let mask = |answer: &Answer| -> Vec<String> {
        let mut paths: Vec<_> = answer.json()["updateMask"].as_str().unwrap().split(',').map(str::to_owned).collect();
        paths.sort();
        paths
    };
    let answer = patch("/v1/books/7", r#"{"title":"Journey","author":{"familyName":"Wu"}}"#).await;
    assert_eq!((answer.status, &answer.json()["book"]["name"]), (200, &json!("books/7")));
    assert_eq!(mask(&answer), ["author.familyName", "title"]);
    // A default that is given counts, and so does null; both names of a field are taken.
    let answer = patch("/v1/books/7", r#"{"pages":0,"tags":null,"author":{"given_name":"Ch'eng-en"}}"#).await;
    assert_eq!(mask(&answer), ["author.givenName", "pages", "tags"]);
    // Lists and maps are replaced whole.
    let answer = patch("/v1/books/7", r#"{"tags":["a","b"],"names":{"de":"Reise"}}"#).await;
    assert_eq!(mask(&answer), ["names", "tags"]);
    // The caller's own mask stays as it is, also in the other name.
    let answer = patch("/v1/books/7?updateMask=title", r#"{"title":"x","pages":3}"#).await;
    assert_eq!(mask(&answer), ["title"]);
    let answer = patch("/v1/books/7?update_mask=title,author.given_name&allowMissing=true", r#"{"title":"x"}"#).await;
    assert_eq!(
        (mask(&answer), &answer.json()["allowMissing"]),
        (vec!["author.givenName".to_owned(), "title".to_owned()], &json!(true))
    );
    // Nothing given, nothing changed.
    let answer = patch("/v1/books/7", "{}").await;
    assert!(answer.json().get("updateMask").is_none(), "{}", answer.text());
    // The path has the name: the body's is ignored, and the mask does not have it.
    let answer = patch("/v1/books/7", r#"{"name":"books/8","title":"x"}"#).await;
    assert_eq!(answer.json()["book"]["name"], "books/7");

    // The client sends the mask that it is given.
    let book = Book {
        name: "books/9".into(),
        author: Some(Author { family_name: "Wu".into(), ..Author::default() }),
        ..Book::default()
    };
    let sent = UpdateBookRequest {
        book: Some(book),
        update_mask: Some(prost_types::FieldMask { paths: vec!["author.family_name".into()] }),
        allow_missing: true,
    };
    for url in [server.http_url(), server.grpc_url()] {
        let client = ExtraClient::new(&Channel::new(&url).unwrap());
        assert_eq!(client.update_book(&Context::background(), sent.clone()).await.unwrap(), sent, "{url}");
    }
}

#[tokio::test]
async fn raw_bytes_in_streams() {
    let server = library().await;
    // Whatever is accepted: it is the type of the first part.
    for accept in ["*/*", "image/png"] {
        let answer = accepting(&server, "/v1/download/3", accept).await;
        assert_eq!(
            (answer.status, answer.header("content-type"), answer.complete),
            (200, Some("image/png"), true),
            "{accept}"
        );
        assert_eq!(answer.body, [0, 0, 255, 1, 0, 255, 2, 0, 255]);
    }
    let empty = get(server.http, "/v1/download/0").await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));

    let answer = request(server.http, "POST", "/v1/upload", &["content-type: image/png"], &[7; 100_000]).await;
    assert_eq!(answer.json(), json!({"contentType": "image/png", "bytes": "100000"}));
    let answer = request(server.http, "POST", "/v1/mirror", &["content-type: audio/ogg"], &[0, 10, 255]).await;
    assert_eq!((answer.header("content-type"), &*answer.body), (Some("audio/ogg"), &[0, 10, 255][..]));
    assert_eq!(request(server.http, "POST", "/v1/mirror", &["content-type: audio/ogg"], b"").await.status, 200);

    for url in [server.http_url(), server.grpc_url()] {
        let (client, cx) = (ExtraClient::new(&Channel::new(&url).unwrap()), Context::background());
        let mut parts = client.download(&cx, DownloadRequest { parts: 3 }).await.unwrap();
        let (mut bytes, mut content_type) = (Vec::new(), None);
        while let Some(part) = soon(parts.message()).await.unwrap() {
            content_type.get_or_insert(part.content_type);
            bytes.extend(part.data);
        }
        assert_eq!(
            (bytes, content_type.as_deref()),
            (vec![0, 0, 255, 1, 0, 255, 2, 0, 255], Some("image/png")),
            "{url}"
        );
        let part =
            |data: &[u8]| HttpBody { content_type: "image/png".into(), data: data.to_vec(), extensions: Vec::new() };
        let uploaded = client.upload(&cx, Streaming::from_iter([part(b"ab"), part(b"c")])).await.unwrap();
        assert_eq!(uploaded, Uploaded { content_type: "image/png".into(), bytes: 3 }, "{url}");
        let mut mirrored = client.mirror(&cx, Streaming::from_iter([part(b"a\nb"), part(b"c")])).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(part) = soon(mirrored.message()).await.unwrap() {
            bytes.extend(part.data);
        }
        assert_eq!(bytes, b"a\nbc", "{url}");
    }
}

#[tokio::test]
async fn raw_bytes_in_a_field() {
    let server = library().await;
    let answer = request(server.http, "POST", "/v1/attach/cover?note=n", &["content-type: image/png"], &[0, 255]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = &answer.json()["file"];
    assert_eq!((&file["contentType"], &file["data"]), (&json!("image/png"), &json!("AP8=")));
    assert_eq!((&answer.json()["name"], &answer.json()["note"]), (&json!("cover"), &json!("n")));

    let file = HttpBody { content_type: "image/png".into(), data: vec![0, 255], extensions: Vec::new() };
    let sent = AttachRequest { name: "cover".into(), file: Some(file), note: "n".into() };
    for url in [server.http_url(), server.grpc_url()] {
        let client = ExtraClient::new(&Channel::new(&url).unwrap());
        assert_eq!(client.attach(&Context::background(), sent.clone()).await.unwrap(), sent, "{url}");
        let cover = client.cover(&Context::background(), sent.clone()).await.unwrap();
        assert_eq!(cover.file, sent.file, "{url}");
    }
    let answer = request(server.http, "POST", "/v1/cover/x", &["content-type: image/png"], &[0, 255]).await;
    assert_eq!((answer.header("content-type"), &*answer.body), (Some("image/png"), &[0, 255][..]));
}

#[tokio::test]
async fn a_method_without_a_rule_is_for_grpc_alone() {
    let server = library().await;
    let hidden = async |url: String| {
        let client = ExtraClient::new(&Channel::new(&url).unwrap());
        client.hidden(&Context::background(), DownloadRequest { parts: 1 }).await
    };
    hidden(server.grpc_url()).await.unwrap();
    let error = hidden(server.http_url()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("grpc://"), "{error}");
    assert_eq!(post(server.http, "/extra.Extra/Hidden", "{}").await.status, 404);
}

/// The half of a stream that is sent is answered before the other half is there.
#[tokio::test]
async fn both_ways_at_once_over_http1() {
    let endpoints = ChatEndpoints {
        talk: Endpoint::from_fn(CHAT_TALK.clone(), |_, lines: Streaming<Line>| async move { Ok(lines) }),
        ..room()
    };
    let server = Running::serve(&endpoints).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let head = format!("POST /v1/talk HTTP/1.1\r\nhost: t\r\n{LINES}\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    for text in ["one", "two"] {
        let sent = format!("{{\"text\":\"{text}\"}}\n");
        stream.write_all(format!("{:x}\r\n{sent}\r\n", sent.len()).as_bytes()).await.unwrap();
        soon(async {
            while !received.windows(sent.len()).any(|w| w == sent.as_bytes()) {
                assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
            }
        })
        .await;
    }
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
