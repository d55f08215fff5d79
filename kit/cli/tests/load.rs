//! `kit load` as people run it: against real servers, and against some that misbehave.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    sync::mpsc,
    thread,
    time::Duration,
};

use kit::{Context, Error, Streaming, server::Server};
use serde_json::Value;

mod proto {
    include!("../../examples/generated/chat/protos.rs");
}
use proto::chat::{Chat, ChatEndpoints, CountRequest, Line, Summary};

struct Room;

impl Chat for Room {
    async fn say(&self, cx: &Context, line: Line) -> Result<Line, Error> {
        match cx.metadata().get("x-refuse") {
            Some(_) => Err(Error::unavailable("not today")),
            None => Ok(line),
        }
    }

    async fn count(&self, _: &Context, request: CountRequest) -> Result<Streaming<Line>, Error> {
        if request.to < 0 {
            return Err(Error::invalid_argument("count up"));
        }
        Ok(Streaming::from_iter((1..=request.to).map(|n| Line { text: n.to_string() })))
    }

    async fn dictate(&self, _: &Context, _: Streaming<Line>) -> Result<Summary, Error> {
        Ok(Summary::default())
    }

    async fn talk(&self, _: &Context, lines: Streaming<Line>) -> Result<Streaming<Line>, Error> {
        Ok(lines)
    }
}

struct Served {
    http: String,
    grpc: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn served() -> Served {
    let server = Server::new().http("127.0.0.1:0").grpc("127.0.0.1:0").reflection(true);
    let server = server.service(&ChatEndpoints::new(Room)).bind().await.unwrap();
    let (http, grpc) = (server.http_addr().unwrap().to_string(), server.grpc_addr().unwrap().to_string());
    let task = tokio::spawn(async move { server.run(std::future::pending()).await.unwrap() });
    Served { http, grpc: format!("grpc://{grpc}"), task }
}

type Told = (Option<i32>, String, String);

fn kit(args: &[&str]) -> Told {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_kit")).arg("load").args(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// For a short time, on few connections, unless more is said.
const SHORT: [(&str, &str); 3] = [("--duration", "300ms"), ("--warmup", "0s"), ("--connections", "3")];

async fn load(url: &str, more: &[&str]) -> Told {
    let short = SHORT.iter().filter(|(name, _)| !more.contains(name)).flat_map(|(name, value)| [*name, *value]);
    let args: Vec<String> = [url].into_iter().chain(short).chain(more.iter().copied()).map(str::to_owned).collect();
    let run = move || kit(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The report as JSON.
async fn json(url: &str, more: &[&str]) -> (Option<i32>, Value) {
    let more: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
    let (code, out, err) = load(url, &more).await;
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name}: {report}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_calls_are_made_and_counted() {
    let server = served().await;
    let say = format!("{}/chat.Chat/Say", server.grpc);
    let (code, report) = json(&say, &["--data", r#"{"text": "hello"}"#]).await;
    let calls = number(&report, "calls");
    assert!(code == Some(0) && calls > 0 && calls == number(&report, "ok"), "{report}");
    assert!(report["errors"] == serde_json::json!({}) && number(&report, "dropped") == 0, "{report}");
    assert!(number(&report, "messages") > 0 && number(&report, "bytes_received") > calls * 20, "{report}");
    assert!(report["latency_us"]["p99"].as_f64() <= report["latency_us"]["max"].as_f64(), "{report}");

    // The same message as bytes, and one that is larger than the windows of the server at the start.
    let (code, report) = json(&say, &["--data-hex", "0a 05 68656c6c6f"]).await;
    assert!(code == Some(0) && report["errors"] == serde_json::json!({}), "{report}");
    let large = format!(r#"{{"text": "{}"}}"#, "x".repeat(120_000));
    let (code, report) = json(&say, &["--data", &large]).await;
    assert!(code == Some(0) && report["errors"] == serde_json::json!({}) && number(&report, "ok") > 0, "{report}");

    let (code, out, _) = load(&say, &["--rate", "100"]).await;
    assert_eq!(code, Some(0), "{out}");
    for part in ["100 calls/s on schedule, 3 connections", "calls      30 in ", "99.9 %", "█", "should have begun"] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_kept_to_the_call() {
    let server = served().await;
    let say = format!("{}/chat.Chat/Say", server.grpc);
    for rate in ["200", "1000"] {
        let (code, report) = json(&say, &["--rate", rate]).await;
        let calls = rate.parse::<u64>().unwrap() * 3 / 10;
        assert_eq!((code, number(&report, "calls"), number(&report, "ok")), (Some(0), calls, calls), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_errors_is_reported() {
    let server = served().await;
    let say = format!("{}/chat.Chat/Say", server.grpc);
    let (code, report) = json(&say, &["-H", "x-refuse: yes", "--rate", "100"]).await;
    assert_eq!((code, &report["errors"]), (Some(1), &serde_json::json!({"UNAVAILABLE": 30})), "{report}");
    let (_, out, _) = load(&say, &["-H", "x-refuse: yes"]).await;
    assert!(out.contains("UNAVAILABLE: ") && out.contains("(the first: not today)"), "{out}");

    let (code, report) = json(&format!("{}/chat.Chat/Nope", server.grpc), &["--rate", "100"]).await;
    assert_eq!((code, &report["errors"]), (Some(1), &serde_json::json!({"UNIMPLEMENTED": 30})), "{report}");
    let (code, report) = json(&format!("http://{}/nope", server.http), &["--rate", "100"]).await;
    assert_eq!((code, &report["errors"]), (Some(1), &serde_json::json!({"HTTP 404": 30})), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_counted_by_their_messages() {
    let server = served().await;
    let count = format!("{}/chat.Chat/Count", server.grpc);
    // The reflection says that it is a stream.
    let (code, report) = json(&count, &["--data", r#"{"to": 5}"#, "--rate", "50"]).await;
    assert!(code == Some(0) && number(&report, "ok") > 0, "{report}");
    assert!(number(&report, "messages") >= number(&report, "ok") * 4, "{report}");
    let (code, report) = json(&count, &["--data-hex", "0805", "--server-stream"]).await;
    assert!(code == Some(0) && report["errors"] == serde_json::json!({}), "{report}");
    // Nobody has said so.
    let (code, report) = json(&count, &["--data-hex", "0805"]).await;
    assert!(code == Some(1) && number(&report["errors"], "protocol") > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_calls_are_made_and_counted() {
    let server = served().await;
    let cases: [(&str, &[&str]); 3] = [("/readyz", &[]), ("/v1/count/3", &[]), ("/readyz", &["-X", "GET"])];
    for (path, more) in cases {
        let (code, report) = json(&format!("http://{}{path}", server.http), more).await;
        assert!(code == Some(0) && report["errors"] == serde_json::json!({}), "{path}: {report}");
        assert!(number(&report, "ok") > 3, "connections are used again: {path}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_cannot_be_translated_are_told() {
    let server = served().await;
    for (path, data, says) in [
        ("chat.Chat/Nope", "{}", "chat.Chat has no method `Nope`; it has Say, Count"),
        ("chat.Nope/Say", "{}", "knows no service `chat.Nope`"),
        ("chat.Chat/Dictate", "{}", "takes a stream"),
        ("chat.Chat/Say", r#"{"texts": "x"}"#, "--data is no chat.Line: "),
        ("chat.Chat/Say", "{} x", "--data is no chat.Line: "),
    ] {
        let (code, out, err) = load(&format!("{}/{path}", server.grpc), &["--data", data]).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(says), "{err}");
    }
    let descriptors = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/generated/chat/descriptors.bin");
    let say = format!("{}/chat.Chat/Say", server.grpc);
    let (code, _, err) = load(&say, &["--data", r#"{"text": "x"}"#, "--descriptors", descriptors]).await;
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = load(&say, &["--data", "{}", "--descriptors", "/nowhere"]).await;
    assert!(code == Some(2) && err.contains("cannot read /nowhere"), "{err}");
}

/// A server of its own making, which gets each connection.
fn serving(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), serve.clone());
            thread::spawn(move || serve(stream));
        }
    });
    format!("http://{address}/")
}

/// Reads one request, which is small enough to come at once.
fn request(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Of all calls that should have begun while nothing was answered, not only of the one that waited for the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_is_seen_in_the_percentiles_of_a_schedule() {
    let url = serving(|mut stream| {
        assert!(request(&mut stream));
        let (_open, never) = mpsc::sync_channel::<()>(0);
        let _ = never.recv_timeout(Duration::from_millis(300));
        loop {
            if stream.write_all(OK).is_err() || !request(&mut stream) {
                return;
            }
        }
    });
    let (code, report) = json(&url, &["--rate", "100", "--connections", "1", "--duration", "500ms"]).await;
    assert_eq!((code, number(&report, "ok")), (Some(0), 50), "{report}");
    let latency = |name: &str| report["latency_us"][name].as_f64().unwrap();
    assert!(latency("max") > 290_000.0 && latency("p75") > 100_000.0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_an_answer_run_out_of_time() {
    let url = serving(|mut stream| while request(&mut stream) {});
    let (code, report) = json(&url, &["--timeout", "100ms"]).await;
    assert_eq!((code, number(&report, "ok")), (Some(1), 0), "{report}");
    assert!(number(&report["errors"], "timeout") >= 3, "{report}");

    // Those that found no free connection are not lost.
    let (_, report) = json(&url, &["--rate", "100", "--timeout", "100ms", "--connections", "1"]).await;
    assert_eq!(report["errors"], serde_json::json!({"timeout": 30}), "{report}");
    let (_, report) = json(&url, &["--rate", "100", "--timeout", "1s", "--max-in-flight", "5"]).await;
    assert_eq!((number(&report, "calls"), number(&report, "dropped")), (5, 25), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_are_made_again() {
    let url = serving(|mut stream| {
        if request(&mut stream) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let (code, report) = json(&url, &["--rate", "100"]).await;
    assert_eq!((code, number(&report, "ok")), (Some(0), 30), "{report}");

    // Without an answer.
    let url = serving(|mut stream| {
        request(&mut stream);
    });
    let (code, report) = json(&url, &["--rate", "100", "--connections", "1"]).await;
    assert_eq!((code, &report["errors"]), (Some(1), &serde_json::json!({"reset": 30})), "{report}");

    let url = serving(|mut stream| {
        for status in 0.. {
            let answer = if status % 2 == 0 { OK } else { &b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"[..] };
            if !request(&mut stream) || stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    for (most, code) in [("60", 0), ("40", 1)] {
        let (ended, out, _) = load(&url, &["--rate", "100", "--connections", "1", "--fail-above", most]).await;
        assert!(ended == Some(code) && out.contains("HTTP 500: 15"), "{out}");
    }
}

#[test]
fn wrong_questions_and_servers_that_are_none_are_told() {
    for (args, says) in [
        (&[] as &[&str], "<URL>"),
        (&["a:1"], "no scheme"),
        (&["https://a:1"], "without TLS"),
        (&["grpc://127.0.0.1:1"], "which method"),
        (&["http://127.0.0.1:1", "--rate", "0"], "--rate"),
        (&["http://127.0.0.1:1", "--duration", "1"], "no unit"),
        (&["http://127.0.0.1:1", "--duration", "0s"], "longer than nothing"),
        (&["http://127.0.0.1:1", "--streams", "2"], "one call at a time"),
        (&["http://127.0.0.1:1", "--server-stream"], "for gRPC"),
        (&["http://127.0.0.1:1", "-H", "content-length: 3"], "by kit load itself"),
        (&["grpc://127.0.0.1:1/a.B/C", "--data-hex", "1"], "half a byte"),
        (&["grpc://127.0.0.1:1/a.B/C", "-X", "GET"], "always POST"),
    ] {
        let (code, out, err) = kit(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("http://{nobody}/"), format!("grpc://{nobody}/a.B/C")] {
        let (code, _, err) = kit(&[&url, "--duration", "1s"]);
        assert_eq!(code, Some(1));
        assert!(err.contains(&format!("cannot call {nobody}: Connection refused")), "{err}");
    }
    let noise = serving(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n");
        request(&mut stream);
    });
    let (code, out, err) = kit(&[&noise, "--duration", "300ms", "--warmup", "0s"]);
    // It depends on who is faster.
    let told = out + &err;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("no HTTP/1.1") || told.contains("before it is asked"), "{told}");
    let (code, _, err) = kit(&[&format!("{}a.B/C", noise.replace("http", "grpc")), "--duration", "300ms"]);
    assert!(code == Some(1) && err.contains("no HTTP/2"), "{err}");
    assert!(kit(&["--help"]).1.contains("--rate 10000"));
}
