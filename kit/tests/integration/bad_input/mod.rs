//! What must not happen to a server: each case has its status, and the server answers afterwards.

use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use futures_util::FutureExt as _;
use kit::{
    Code, Context, Endpoint, Streaming,
    client::Channel,
    middleware::StandardStack,
    server::{Server, ServerConfig},
    transport::http::HttpConfig,
};
use prost::Message as _;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    calls,
    chat::proto::chat::{CHAT_DICTATE, Chat, ChatClient, ChatEndpoints, CountRequest, Line, Summary},
    echo::{EchoService, proto::tc::v1::EchoEndpoints},
    support::{Answer, OnDrop, Running, counting, get, line, post, raw, request, room, saying, soon},
};

mod connection;

const JSON: &str = "content-type: application/json";

async fn echo() -> Running {
    Running::serve(&EchoEndpoints::new(EchoService).with(&StandardStack::default())).await
}

/// The server answers over both transports.
async fn lives(server: &Running) {
    let answer = get(server.http, "/openapi.json").await;
    assert_eq!(answer.status, 200);
    let mut stream = TcpStream::connect(server.grpc).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    soon(stream.read_exact(&mut frame)).await.unwrap();
}

/// The status as JSON, with the code and something in the message.
fn refused(answer: &Answer, status: u16, code: Code, says: &str) {
    assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code as i32)), "{}", answer.text());
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(says), "{message:?} does not say {says:?}");
    assert!(answer.header("x-request-id").is_some());
    assert!(answer.body.len() < 4096, "an error must not be a copy of what was wrong: {} bytes", answer.body.len());
}

/// A body to a gRPC method by HTTP/1.1 and gRPC-Web, whose frames are those of gRPC; gives the status.
async fn framed(server: &Running, path: &str, body: &[u8]) -> (String, String) {
    let answer = request(server.grpc, "POST", path, &["content-type: application/grpc-web+proto"], body).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let field = |name: &str| {
        answer.header(name).map(str::to_owned).unwrap_or_else(|| {
            let rest = text.rsplit_once(&format!("{name}:")).map(|(_, rest)| rest).unwrap_or_default();
            rest.lines().next().unwrap_or_default().trim().to_owned()
        })
    };
    (field("grpc-status"), field("grpc-message"))
}

fn frame(flag: u8, length: u32, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

#[tokio::test]
async fn broken_grpc_frames() {
    let server = Running::serve(&room().with(&StandardStack::default())).await;
    let said = line("hello").encode_to_vec();
    let length = u32::try_from(said.len()).unwrap();
    for path in ["/chat.Chat/Say", "/chat.Chat/Dictate"] {
        for (what, body, codes) in [
            ("a whole one", frame(0, length, &said), ["0"].as_slice()),
            ("half a header", vec![0, 0, 0], &["13", "3"]),
            ("half a message", frame(0, length, &said[..3]), &["13", "3"]),
            ("four gigabytes announced", frame(0, u32::MAX, &said), &["8"]),
            ("one byte over the limit", frame(0, 4 * 1024 * 1024 + 1, &[]), &["8"]),
            ("a flag that does not exist", frame(7, length, &said), &["13", "3"]),
            ("compressed without a way", frame(1, length, &said), &["13", "3"]),
            ("no message", frame(0, 9, &[0xff; 9]), &["13", "3"]),
            ("a text that is not UTF-8", frame(0, 3, &[10, 1, 0xff]), &["13", "3"]),
        ] {
            let (status, message) = framed(&server, path, &body).await;
            assert!(codes.contains(&status.as_str()), "{path} with {what}: {status} {message}");
            assert!(message.len() < 500, "{message}");
            lives(&server).await;
        }
    }
    // A unary call without a message.
    let (status, _) = framed(&server, "/chat.Chat/Say", &[]).await;
    assert_ne!(status, "0");
    lives(&server).await;
}

#[tokio::test]
async fn garbage_in_the_place_of_http2() {
    let server = echo().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    for garbage in [
        [&preface[..], &[0xff; 200]].concat(),
        // A DATA frame of a stream that was never opened.
        [&preface[..], settings, b"\0\0\x04\0\0\0\0\0\x01abcd"].concat(),
        // HEADERS that no HPACK reader can read.
        [&preface[..], settings, b"\0\0\x04\x01\x04\0\0\0\x01\xff\xff\xff\xff"].concat(),
        // A frame that is longer than allowed.
        [&preface[..], settings, b"\xff\xff\xff\x01\x04\0\0\0\x01"].concat(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
        vec![0; 1000],
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"\r\n\r\n\r\n".to_vec(),
    ] {
        for address in [server.grpc, server.http] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(&garbage).await;
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            // The server closes.
            let _ = soon(stream.read_to_end(&mut rest)).await;
        }
        lives(&server).await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit() {
    let config = HttpConfig { max_request_size: 10_000, ..HttpConfig::default() };
    let endpoints = ChatEndpoints {
        dictate: Endpoint::from_fn(CHAT_DICTATE.clone(), |_, mut lines: Streaming<Line>| async move {
            let mut summary = Summary::default();
            while lines.message().await?.is_some() {
                summary.lines += 1;
            }
            Ok(summary)
        }),
        ..room()
    };
    let server = Running::start(Server::new().http_config(config).service(&endpoints)).await;
    let body = |size: usize| json!({"text": "x".repeat(size)}).to_string();
    assert_eq!(post(server.http, "/v1/say", &body(9_900)).await.status, 200);
    refused(&post(server.http, "/v1/say", &body(10_000)).await, 413, Code::ResourceExhausted, "10000");
    // In chunks nobody says before how much comes.
    let mut chunked = Vec::new();
    for _ in 0..20 {
        chunked.extend_from_slice(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes());
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let headers = [JSON, "transfer-encoding: chunked"];
    refused(&request(server.http, "POST", "/v1/say", &headers, &chunked).await, 413, Code::ResourceExhausted, "10000");
    // A hundred megabytes in a hundred kilobytes.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..100 {
        bomb.write_all(&[b' '; 1_000_000]).unwrap();
    }
    let (bomb, headers) = (bomb.finish().unwrap(), [JSON, "content-encoding: gzip"]);
    refused(&request(server.http, "POST", "/v1/say", &headers, &bomb).await, 413, Code::ResourceExhausted, "10000");
    // A stream may be long, a message of it not.
    let many = "{\"text\":\"again\"}\n".repeat(5_000);
    let lines = ["content-type: application/x-ndjson"];
    let answer = request(server.http, "POST", "/v1/dictate", &lines, many.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["lines"]), (200, &json!(5_000)));
    let answer = request(server.http, "POST", "/v1/dictate", &lines, body(20_000).as_bytes()).await;
    assert_eq!(answer.json()["code"], 8, "{}", answer.text());
    lives(&server).await;
}

#[tokio::test]
async fn json_that_does_not_fit() {
    let server = echo().await;
    for (body, says) in [
        ("", None),
        ("{}", None),
        (r#"{"unknownField":{"deep":[1,2,{}]},"name":"x"}"#, None),
        ("{", Some("EOF")),
        ("[]", Some("tc.v1.Msg")),
        ("null", Some("")),
        ("\"text\"", Some("tc.v1.Msg")),
        ("{}{}", Some("trailing")),
        (r#"{"i32":"x"}"#, Some("i32")),
        (r#"{"i32":2147483648}"#, Some("i32")),
        (r#"{"i32":1.5}"#, Some("i32")),
        (r#"{"u32":-1}"#, Some("u32")),
        (r#"{"b":"yes"}"#, Some("b")),
        (r#"{"b":1}"#, Some("b")),
        (r#"{"name":7}"#, Some("name")),
        (r#"{"kind":"NO_SUCH"}"#, Some("NO_SUCH")),
        (r#"{"data":"***"}"#, Some("data")),
        (r#"{"ts":"yesterday"}"#, Some("ts")),
        (r#"{"tags":"a"}"#, Some("tags")),
        (r#"{"tags":[1]}"#, Some("tags")),
        (r#"{"sub":[]}"#, Some("sub")),
        (r#"{"labels":[]}"#, Some("labels")),
        (r#"{"pickA":"a","pickN":1}"#, Some("pickN")),
        (r#"{"name":"a","name":"b"}"#, Some("name")),
        (r#"{"snakeCaseName":"a","snake_case_name":"b"}"#, Some("")),
        (r#"{"d":1e999}"#, Some("")),
        (r#"{"name":"\ud800"}"#, Some("")),
        ("{\"name\":\"a\tb\"}", Some("")),
    ] {
        let answer = post(server.http, "/v1/all", body).await;
        match says {
            None => assert_eq!(answer.status, 200, "{body}: {}", answer.text()),
            Some(says) => refused(&answer, 400, Code::InvalidArgument, says),
        }
    }
    for bad in [&b"{\"name\":\"\xff\"}"[..], b"\xff\xfe{\0}\0", b"\0\0\0\0", b"{\"name\":\"a\0"] {
        refused(&request(server.http, "POST", "/v1/all", &[JSON], bad).await, 400, Code::InvalidArgument, "");
    }
    lives(&server).await;
}

#[tokio::test]
async fn json_that_is_deep() {
    let server = echo().await;
    let nested = |depth: usize| format!("{{\"sub\":{}{{}}{}}}", "{\"child\":".repeat(depth), "}".repeat(depth));
    assert_eq!(post(server.http, "/v1/all", &nested(50)).await.status, 200);
    for depth in [200, 100_000] {
        refused(&post(server.http, "/v1/all", &nested(depth)).await, 400, Code::InvalidArgument, "");
        // Where nobody looks it is skipped, without a stack that could overflow.
        let unknown = format!("{{\"unknown\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(post(server.http, "/v1/all", &unknown).await.status, 200);
        // A value of any shape.
        for body in [
            format!("{{\"val\":{}1{}}}", "[".repeat(depth), "]".repeat(depth)),
            format!("{{\"meta\":{}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth)),
            "[".repeat(depth),
        ] {
            refused(&post(server.http, "/v1/all", &body).await, 400, Code::InvalidArgument, "");
        }
    }
    lives(&server).await;
}

/// Messages in gRPC may be deep, too: prost has a limit of a hundred.
#[tokio::test]
async fn protobuf_that_is_deep() {
    let server = echo().await;
    // `sub` of a message, then `child` of `child`.
    let mut message = Vec::new();
    for depth in 0..1000 {
        let mut outer = vec![if depth == 999 { 0x8a } else { 0x22 }];
        if depth == 999 {
            outer.push(1);
        }
        prost::encoding::encode_varint(message.len() as u64, &mut outer);
        outer.extend(message);
        message = outer;
    }
    let body = frame(0, u32::try_from(message.len()).unwrap(), &message);
    let (status, text) = framed(&server, "/tc.v1.Echo/PostAll", &body).await;
    assert!(["13", "3"].contains(&status.as_str()), "{status} {text}");
    lives(&server).await;
}

#[tokio::test]
async fn queries_and_paths_that_do_not_fit() {
    let server = echo().await;
    for (target, says) in [
        ("/v1/query?i32=x", "i32"),
        ("/v1/query?i32=1&i32=2", "i32"),
        ("/v1/query?nope=1", "nope"),
        ("/v1/query?sub.nope=1", "sub.nope"),
        ("/v1/query?sub=x", "sub"),
        ("/v1/query?name=%zz", "escape"),
        ("/v1/query?name=%", "escape"),
        ("/v1/query?name=%ff", "UTF-8"),
        ("/v1/query?name=a;b", "%3B"),
        ("/v1/query?kind=NO_SUCH", "NO_SUCH"),
        ("/v1/query?labels%5Ba=1", "labels"),
        ("/v1/query?sub.child.child.child.n=x", "sub.child.child.child.n"),
        ("/v1/simple/%zz", "path"),
        ("/v1/simple/%ff", "path"),
        ("/v1/simple/a%", "path"),
        ("/v1/typed/x/true/FICTION/1", "i64"),
    ] {
        let answer = get(server.http, target).await;
        refused(&answer, 400, Code::InvalidArgument, says);
    }
    // Long ones.
    let answer = get(server.http, &format!("/v1/query?name={}", "x".repeat(10_000))).await;
    assert_eq!(answer.status, 200);
    let huge = raw(
        server.http,
        format!("GET /v1/query?name={} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n", "x".repeat(64 * 1024))
            .as_bytes(),
    )
    .await;
    assert!([414, 431].contains(&huge.status), "{}", huge.status);
    let many = |count: usize| format!("/v1/query?{}", "tags=&".repeat(count));
    assert_eq!(get(server.http, &many(1000)).await.json()["tags"].as_array().unwrap().len(), 1000);
    refused(&get(server.http, &many(2000)).await, 400, Code::InvalidArgument, "1000");
    let deep = format!("/v1/query?{}name=x", "sub.child.".repeat(1000));
    assert_eq!(get(server.http, &deep).await.status, 400);
    let answer = get(server.http, &format!("/v1/multi/{}", "a/".repeat(5_000) + "a")).await;
    assert_eq!((answer.status, answer.json()["name"].as_str().unwrap().len()), (200, 10_001));
    assert_eq!(get(server.http, &"/a".repeat(5_000)).await.status, 404);
    for strange in [
        "/v1/simple/",
        "//v1/query",
        "/v1/../etc/passwd",
        "/v1/simple/a/b",
        "/%00",
        "/v1/query/",
        "/:",
        "/v1/simple/a:b:c",
    ] {
        let status = get(server.http, strange).await.status;
        assert!((200..500).contains(&status), "{strange}: {status}");
    }
    for broken in ["GET", "GET /v1/query", "GET /v1/query HTTP/1.1\r\nhost", "GET /\u{fc} HTTP/1.1\r\nhost: t", "\u{0}"]
    {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        stream.write_all(format!("{broken}\r\n\r\n").as_bytes()).await.unwrap();
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP/1.1 5"), "{broken:?}: {}", String::from_utf8_lossy(&rest));
    }
    lives(&server).await;
}

/// By HTTP/2 a header may be as long as the limit says, and the path of 10 000 segments comes through the service itself.
#[tokio::test]
async fn a_path_of_many_segments() {
    use kit::transport::http::{Body, HttpTransport};
    use tower::ServiceExt as _;
    let service = HttpTransport::new(HttpConfig::default()).service(&EchoEndpoints::new(EchoService)).build().unwrap();
    for (prefix, status) in [("/v1/multi", 200), ("", 404), ("/v1/trees/1/leaves", 200), ("/v1/simple", 404)] {
        let target = format!("{prefix}{}", "/a".repeat(10_000));
        let request = http::Request::get(target).body(Body::empty()).unwrap();
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), status, "{prefix}");
    }
    let request = http::Request::get(format!("/v1/query?name={}", "x".repeat(60 * 1024))).body(Body::empty()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn headers_that_are_wrong() {
    let server = Running::serve(&saying(|cx, _| async move { Ok(line(cx.request_id().as_str())) })).await;
    let say = async |header: &str| request(server.http, "POST", "/v1/say", &[JSON, header], b"{}").await;
    for wrong in ["1", "S", "-1S", "1x", "1.5S", "123456789S", "1 S", ""] {
        let answer = request(
            server.http,
            "POST",
            "/v1/say",
            &[JSON, &format!("grpc-timeout: {wrong}"), "x-request-id: abc"],
            b"{}",
        )
        .await;
        refused(&answer, 400, Code::InvalidArgument, "grpc-timeout");
        assert_eq!(answer.header("x-request-id"), Some("abc"));
        let headers = ["content-type: application/grpc-web+proto", &format!("grpc-timeout: {wrong}")];
        let answer = request(server.grpc, "POST", "/chat.Chat/Say", &headers, &frame(0, 0, &[])).await;
        assert_eq!(answer.header("grpc-status"), Some("3"), "{wrong}: {answer:?}");
    }
    // What could forge a line of the log, or is no id, is replaced.
    let long = "a".repeat(65);
    for wrong in ["two words", "a\tb", "a\"b", "{}", "<script>", "\u{fc}", "", &long] {
        let answer = say(&format!("x-request-id: {wrong}")).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!((answer.status, id.len(), &answer.json()["text"]), (200, 32, &json!(id)), "{wrong:?}");
    }
    // A bare CR or LF never becomes part of a value: it is the end of the line, or refused.
    for wrong in ["abc\rdef", "abc\ndef: 1", "abc\0def"] {
        let answer = say(&format!("x-request-id: {wrong}")).await;
        if answer.status == 200 {
            let id = answer.header("x-request-id").unwrap();
            assert!(id == "abc" || id.len() == 32, "{wrong:?}: {id:?}");
        } else {
            assert_eq!(answer.status, 400, "{wrong:?}");
        }
    }
    let many: Vec<String> = (0..200).map(|n| format!("x-{n}: {}", "v".repeat(100))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain([JSON]).collect();
    assert_eq!(request(server.http, "POST", "/v1/say", &many, b"{}").await.status, 431);
    for accept in ["accept: \u{fc}", "accept: ,,,;q=x", "accept: application/json;q=NaN"] {
        let answer = request(server.http, "GET", "/v1/count/1", &[accept], b"").await;
        assert!([200, 406].contains(&answer.status), "{accept}: {}", answer.status);
    }
    lives(&server).await;
}
