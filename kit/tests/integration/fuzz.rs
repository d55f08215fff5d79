//! Random input never panics and never is our fault: no answer of 500, whatever comes.

use std::{future::Future, sync::LazyLock};

use http_body_util::BodyExt as _;
use kit::transport::{
    grpc::{GrpcConfig, GrpcService},
    http::{Body, HttpConfig, HttpService, HttpTransport},
};
use proptest::{collection::vec, prelude::*};
use tower::ServiceExt as _;

use crate::{
    echo::{EchoService, proto::tc::v1::EchoEndpoints},
    support::room,
};

static SERVICE: LazyLock<HttpService> = LazyLock::new(|| {
    let config = HttpConfig { max_request_size: 10_000, ..HttpConfig::default() };
    HttpTransport::new(config).service(&EchoEndpoints::new(EchoService)).service(&room()).build().unwrap()
});

static GRPC: LazyLock<GrpcService> = LazyLock::new(|| {
    GrpcService::new(GrpcConfig::default()).service(&EchoEndpoints::new(EchoService)).service(&room())
});

fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Sends a request, reads the answer as far as it goes, and gives its status.
fn status(request: http::Request<Body>) -> u16 {
    run(async {
        let response = SERVICE.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let _ = response.into_body().collect().await;
        status
    })
}

fn sent(method: &str, target: &str, content_type: &str, body: Vec<u8>) -> Option<u16> {
    // What is no target never comes through hyper.
    let uri: http::Uri = target.parse().ok()?;
    let request = http::Request::builder().method(method).uri(uri).header("content-type", content_type);
    Some(status(request.body(Body::from(body)).ok()?))
}

fn fine(status: Option<u16>) -> Result<(), TestCaseError> {
    prop_assert!(status.is_none_or(|status| status < 500), "{status:?}");
    Ok(())
}

/// Bytes that look like what is expected, more often than random ones do.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just("\""),
        Just("null"),
        Just("true"),
        Just("1"),
        Just("-1e99"),
        Just("\"name\""),
        Just("\"sub\""),
        Just("\"child\""),
        Just("\"tags\""),
        Just("\"ts\""),
        Just("\"dur\""),
        Just("\"meta\""),
        Just("\"val\""),
        Just("\"labels\""),
        Just("\"kind\""),
        Just("\"mask\""),
        Just("\"i64w\""),
        Just("\"data\""),
        Just("\"1970-01-01T00:00:00Z\""),
        Just("\"99999999999999s\""),
        Just("\"\\ud800\""),
        Just("\\u0000"),
        Just("{\"sub\":"),
        Just("{\"val\":"),
        Just("\"text\":"),
        Just("\n"),
    ];
    prop_oneof![
        vec(any::<u8>(), 0..200),
        vec(part, 0..40).prop_map(|parts| parts.concat().into_bytes()),
        // One field with a random value, so that every reader is met.
        (
            prop_oneof![
                Just("ts"),
                Just("dur"),
                Just("mask"),
                Just("data"),
                Just("kind"),
                Just("i64"),
                Just("d"),
                Just("labels")
            ],
            any::<String>()
        )
            .prop_map(|(name, value)| serde_json::json!({name: value}).to_string().into_bytes()),
    ]
}

fn query_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("name"),
        Just("sub.child.n"),
        Just("tags"),
        Just("ts"),
        Just("dur"),
        Just("mask"),
        Just("labels[a]"),
        Just("meta"),
        Just("data"),
        Just("="),
        Just("&"),
        Just("."),
        Just("["),
        Just("]"),
        Just("%"),
        Just("%41"),
        Just("%ff"),
        Just("%2F"),
        Just("+"),
        Just("1"),
        Just("-1"),
        Just("1970-01-01T00:00:00Z"),
        Just("1s"),
        Just("choice"),
        Just("pick_a"),
        Just("opt"),
    ];
    prop_oneof![vec(part, 0..30).prop_map(|parts| parts.concat()), "[ -~]{0,60}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_body(body in json_like()) {
        for target in ["/v1/all", "/v1/listbody", "/v1/scalarbody", "/v1/shelves/1/books"] {
            fine(sent("POST", target, "application/json", body.clone()))?;
        }
    }

    #[test]
    fn any_query(query in query_like()) {
        fine(sent("GET", &format!("/v1/query?{query}"), "", Vec::new()))?;
        fine(sent("POST", &format!("/v1/nobody/x?{query}"), "", Vec::new()))?;
    }

    #[test]
    fn any_path(path in prop_oneof!["[ -~]{0,60}", query_like(), "(/(v1|simple|multi|books|a%2Fb|%ff|:watch|\\*|\\{x\\})){0,6}"]) {
        for method in ["GET", "POST", "OPTIONS", "HEAD"] {
            fine(sent(method, &format!("/{path}"), "", Vec::new()))?;
            fine(sent(method, &format!("/v1/multi/{path}"), "", Vec::new()))?;
            fine(sent(method, &format!("/v1/typed/{path}"), "", Vec::new()))?;
        }
    }

    #[test]
    fn any_headers(name in "(accept|content-type|grpc-timeout|x-request-id|content-encoding|accept-encoding|origin|traceparent)", value in vec(prop_oneof![32u8..127, 128u8..=255], 0..40)) {
        for (method, target) in [("GET", "/v1/stream/2"), ("POST", "/v1/all"), ("POST", "/v1/dictate")] {
            let request = http::Request::builder().method(method).uri(target).header(&name, value.as_slice());
            let Ok(request) = request.body(Body::from("{}")) else { continue };
            let status = status(request);
            // A time that is too short is the caller's own wish.
            prop_assert!(status < 500 || (status == 504 && name == "grpc-timeout"), "{status}");
        }
    }

    #[test]
    fn any_lines(body in json_like(), chunk in 1usize..20) {
        for target in ["/v1/dictate", "/v1/talk"] {
            let chunks: Vec<_> = body.chunks(chunk).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
            let body = Body::from_stream(tokio_stream::iter(chunks));
            let request = http::Request::post(target).header("content-type", "application/x-ndjson").body(body).unwrap();
            fine(Some(status(request)))?;
        }
    }

    /// Whatever the messages are, the events of a stream come back as the same ones.
    #[test]
    fn any_text_as_events(texts in vec(any::<String>(), 0..5)) {
        let lines: String = texts.iter().map(|text| serde_json::json!({"text": text}).to_string() + "\n").collect();
        let body = run(async {
            let request = http::Request::post("/v1/talk").header("accept", "text/event-stream").body(Body::from(lines)).unwrap();
            let response = SERVICE.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap().to_bytes()
        });
        let body = String::from_utf8(body.to_vec()).unwrap();
        let back: Vec<String> = body
            .split_terminator("\n\n")
            .map(|event| serde_json::from_str::<serde_json::Value>(event.strip_prefix("data: ").unwrap()).unwrap())
            .map(|event| event["text"].as_str().unwrap().strip_prefix("you said: ").unwrap().to_owned())
            .collect();
        prop_assert_eq!(back, texts);
    }

    #[test]
    fn any_grpc_frame(
        path in prop_oneof![Just("/tc.v1.Echo/PostAll"), Just("/chat.Chat/Say"), Just("/chat.Chat/Dictate"), Just("/chat.Chat/Talk"), Just("/chat.Chat/Count")],
        flag in prop_oneof![Just(0u8), any::<u8>()],
        length in prop_oneof![Just(None), any::<u32>().prop_map(Some)],
        message in vec(any::<u8>(), 0..100),
        encoding in prop_oneof![Just("identity"), Just("gzip"), Just("zstd"), Just("nonsense")],
    ) {
        let length = length.unwrap_or(message.len() as u32);
        let body = [&[flag][..], &length.to_be_bytes(), &message].concat();
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("grpc-encoding", encoding)
            .body(tonic::body::Body::new(Body::from(body)))
            .unwrap();
        run(async {
            let response = GRPC.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let _ = response.into_body().collect().await;
        });
    }

    #[test]
    fn any_grpc_path(path in "/[ -~]{0,40}") {
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let request = http::Request::post(uri).header("content-type", "application/grpc");
        let request = request.body(tonic::body::Body::empty()).unwrap();
        let response = run(GRPC.clone().oneshot(request)).unwrap();
        prop_assert_eq!(response.headers().get("grpc-status").map(|s| s.as_bytes()), Some(&b"12"[..]));
    }
}
