//! The program: its start, its end, and what runs while it ends.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use bookcomments::proto::comments::BookCommentsEndpoints;
use bookcommon::testing::{Process, http};
use kit::server::Server;

use crate::fake::{FakeComments, Mood};

const SERVER: &str = env!("CARGO_BIN_EXE_bookdetails-server");
const FREE: [(&str, &str); 3] = [
    ("BOOKDETAILS_HTTP_ADDR", "127.0.0.1:0"),
    ("BOOKDETAILS_GRPC_ADDR", "127.0.0.1:0"),
    ("BOOKDETAILS_PID_FILE", "run/pid"),
];

/// A comments service that takes the call and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("grpc://{}", listener.local_addr().unwrap());
    (listener, address)
}

fn start(comments: &str) -> Process {
    let mut env = FREE.to_vec();
    env.push(("BOOKDETAILS_COMMENTS_ADDRESS", comments));
    Process::start(SERVER, &env)
}

#[test]
fn it_starts_with_nothing_and_stops() {
    let (_silent, address) = silent();
    let mut server = start(&address);
    let pid = server.folder().path("run/pid");
    assert_eq!(std::fs::read_to_string(&pid).unwrap().trim(), server.id().to_string());
    assert!(server.folder().path("data/details.db").exists(), "made at the first start");
    server.signal("INT");
    assert_eq!(server.wait(), Some(0));
    assert!(!pid.exists());
}

/// A comments service whose calls hang, its address, and a word when a book has asked it.
fn hanging() -> (tokio::runtime::Runtime, String, std::sync::mpsc::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let comments = FakeComments::new(Mood::Hang);
    let mut calls = comments.last_call.subscribe();
    let server = Server::new().grpc("127.0.0.1:0").service(&BookCommentsEndpoints::new(comments));
    let server = runtime.block_on(server.bind()).unwrap();
    let address = format!("grpc://{}", server.grpc_addr().unwrap());
    runtime.spawn(server.run(std::future::pending()));
    let (told, asked) = std::sync::mpsc::sync_channel(1);
    runtime.spawn(async move {
        calls.changed().await.unwrap();
        told.send(()).unwrap();
    });
    (runtime, address, asked)
}

#[test]
fn a_call_that_runs_is_finished_before_the_end() {
    let (_runtime, comments, asked) = hanging();
    let mut server = start(&comments);
    let addr = server.http();
    // It waits a second for comments that never come: time to ask the process to stop.
    let call = std::thread::spawn(move || http(&addr, "GET", "/v1/detail?id=1", ""));
    asked.recv().unwrap();
    server.signal("TERM");
    let answer = call.join().unwrap();
    assert!(answer.status == 200 && answer.body.contains("Red Chamber"), "{answer:?}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn calls_that_do_not_end_are_cut_and_the_exit_says_so() {
    let (_runtime, comments, asked) = hanging();
    let mut env = FREE.to_vec();
    env.extend([
        ("BOOKDETAILS_COMMENTS_ADDRESS", comments.as_str()),
        ("BOOKDETAILS_COMMENTS_TIMEOUT", "1h"),
        ("BOOKDETAILS_STANDARD_TIMEOUT_UNARY", "1h"),
        ("BOOKDETAILS_SERVER_DRAIN_TIMEOUT", "100ms"),
    ]);
    let mut server = Process::start(SERVER, &env);
    let pid = server.folder().path("run/pid");
    let mut call = std::net::TcpStream::connect(server.http()).unwrap();
    call.write_all(b"GET /v1/detail?id=1 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    asked.recv().unwrap();
    server.signal("TERM");
    let warning = server.line("calls are cut");
    assert!(warning.contains("\"WARN\"") && warning.contains("\"calls\":1"), "{warning}");
    assert_eq!(server.wait(), Some(1));
    assert!(!pid.exists());
    let mut answer = Vec::new();
    let _ = call.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (_runtime, comments, asked) = hanging();
    let mut env = FREE.to_vec();
    env.extend([
        ("BOOKDETAILS_COMMENTS_ADDRESS", comments.as_str()),
        ("BOOKDETAILS_COMMENTS_TIMEOUT", "1h"),
        ("BOOKDETAILS_STANDARD_TIMEOUT_UNARY", "1h"),
        ("BOOKDETAILS_SERVER_DRAIN_TIMEOUT", "1h"),
    ]);
    let mut server = Process::start(SERVER, &env);
    let mut call = std::net::TcpStream::connect(server.http()).unwrap();
    call.write_all(b"GET /v1/detail?id=1 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    asked.recv().unwrap();
    server.signal("INT");
    server.line("finishing the calls that run");
    server.signal("INT");
    server.line("the stop is ended at once");
    assert_eq!(server.wait(), Some(1));
}

#[test]
fn comments_that_cannot_be_had_are_logged_once() {
    let (silent, address) = silent();
    drop(silent);
    let server = start(&address);
    for _ in 0..3 {
        assert_eq!(http(&server.http(), "GET", "/v1/detail?id=1", "").status, 200);
    }
    server.signal("TERM");
    let lines = server.lines_until("\"stopped\"");
    let about: Vec<_> = lines.iter().filter(|line| line.contains("without comments")).collect();
    let [line] = about.as_slice() else { panic!("{lines:?}") };
    assert!(line.contains("\"WARN\"") && line.contains("\"request_id\""), "{line}");
    assert_eq!(lines.iter().filter(|line| line.contains("kit::access")).count(), 3);
}

#[test]
fn a_slow_call_is_logged_as_one() {
    let (_silent, address) = silent();
    let mut env = FREE.to_vec();
    env.extend([("BOOKDETAILS_COMMENTS_ADDRESS", address.as_str()), ("BOOKDETAILS_SLOW_CALL", "100ms")]);
    let server = Process::start(SERVER, &env);
    assert_eq!(http(&server.http(), "GET", "/v1/detail?id=0", "").status, 400);
    assert_eq!(http(&server.http(), "GET", "/v1/detail?id=1", "").status, 200);
    let lines = server.lines_until("slow call");
    let slow = lines.last().map(String::as_str).unwrap_or_default();
    assert!(slow.contains("\"WARN\"") && slow.contains("details.BookDetails/Detail"), "{slow}");
    assert_eq!(lines.iter().filter(|line| line.contains("INVALID_ARGUMENT")).count(), 1, "the quick one came before");
}

#[test]
fn a_second_process_on_the_port_says_so_and_exits() {
    let (_silent, address) = silent();
    let first = start(&address);
    let addr = first.http();
    let mut env = FREE.to_vec();
    env.push(("BOOKDETAILS_HTTP_ADDR", &addr));
    let (code, _, errors) = Process::run(SERVER, &[], &env);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains(&addr) && errors.contains("another process"), "{errors}");
}

#[test]
fn a_wrong_address_is_told_with_its_place() {
    let env = [("BOOKDETAILS_COMMENTS_ADDRESS", "127.0.0.1:5012"), ("BOOKDETAILS_COMMENTS_TIMEOUT", "1")];
    let (code, _, errors) = Process::run(SERVER, &["--check-config"], &env);
    assert_eq!(code, Some(1));
    assert!(errors.contains("env BOOKDETAILS_COMMENTS_TIMEOUT: comments.timeout: "), "{errors}");
    let (_, _, errors) = Process::run(SERVER, &["--check-config"], &env[..1]);
    assert!(errors.contains("env BOOKDETAILS_COMMENTS_ADDRESS: comments.address: must be a scheme"), "{errors}");
    for mode in ["local", "container"] {
        let (code, _, errors) = Process::run(SERVER, &["--check-config"], &[("RUN_MODE", mode)]);
        assert_eq!(code, Some(0), "{errors}");
    }
}

#[test]
fn changed_limits_are_taken_over_while_it_runs() {
    let (_silent, address) = silent();
    let server = start(&address);
    let file = server.folder().path(".env");
    let refused = || {
        let status = |_| http(&server.http(), "GET", "/v1/detail?id=4000", "").status;
        (0..30).map(status).any(|status| status == 429)
    };
    // Into its place at once, so that nothing half written is seen.
    let write = |text: &str| {
        let next = server.folder().path("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &file).unwrap();
    };
    write("BOOKDETAILS_STANDARD_RATE_LIMIT_LIMIT=1\nBOOKDETAILS_STANDARD_RATE_LIMIT_PER=1h\n");
    let told = server.line("changed settings were taken over");
    assert!(told.contains("standard.rate_limit.limit") && told.contains("standard.rate_limit.per"), "{told}");
    assert!(refused());
    write("BOOKDETAILS_STANDARD_RATE_LIMIT_LIMIT=0\n");
    let told = server.line("can't be taken over");
    assert!(told.contains("\"ERROR\"") && told.contains("standard.rate_limit.limit"), "{told}");
    assert!(refused(), "nothing has changed");
    write("BOOKDETAILS_STANDARD_RATE_LIMIT_LIMIT=100000\nBOOKDETAILS_SLOW_CALL=250ms\n");
    let told = server.line("wait for a restart");
    assert!(told.contains("\"WARN\"") && told.contains("slow_call") && !told.contains("rate_limit"), "{told}");
    server.line("changed settings were taken over");
    assert!(!refused());
    assert_eq!(server.stop("TERM"), Some(0));
}
