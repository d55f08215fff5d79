//! `kit health` as a container runs it: against real servers, and against what is none.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output},
    thread,
};

fn kit(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_kit")).args(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";

/// A server that answers every connection with this text.
fn answering(text: &'static str) -> String {
    answering_at("127.0.0.1:0", text)
}

fn answering_at(address: &str, text: &'static str) -> String {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(text.as_bytes());
        }
    });
    address
}

/// Bound once to be free, then let go.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

async fn served() -> (String, String, tokio::task::JoinHandle<()>) {
    let server = kit::server::Server::new().http("127.0.0.1:0").grpc("127.0.0.1:0").bind().await.unwrap();
    let (http, grpc) = (server.http_addr().unwrap().to_string(), server.grpc_addr().unwrap().to_string());
    (http, grpc, tokio::spawn(async move { server.run(std::future::pending()).await.unwrap() }))
}

async fn ask(args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || kit(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_well_is_said_to_be() {
    let (http, grpc, task) = served().await;
    let well = answering(WELL);
    for (target, name) in [
        (well.clone(), format!("http://{well}/readyz")),
        (format!("http://{well}/livez"), format!("http://{well}/livez")),
        (format!("grpc://{grpc}"), format!("grpc://{grpc}")),
    ] {
        let (code, out, err) = ask(&["health", &target, "--timeout", "10s"]).await;
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), format!("{name} is well\n").as_str(), ""));
    }
    assert_eq!(ask(&["health", &well, "--quiet", "--timeout", "10s"]).await, (Some(0), String::new(), String::new()));
    let (code, _, err) = ask(&["health", &format!("grpc://{grpc}"), "--service", "no.Such", "--timeout", "10s"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("knows no service `no.Such`"), "{err}");
    // Each asked in the other's way.
    let (code, _, err) = ask(&["health", &format!("grpc://{http}"), "--timeout", "10s"]).await;
    assert!(code == Some(1) && err.contains("is not well"), "{err}");
    let (code, _, err) = ask(&["health", &grpc, "--timeout", "10s"]).await;
    assert!(code == Some(1) && err.contains("is not well"), "{err}");
    task.abort();
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    let ill = answering(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 32\r\n\r\n\u{1b}[31mdatabase:\r\n  cannot connect",
    );
    let (code, out, err) = kit(&["health", &ill, "--timeout", "10s"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let line = format!("kit: http://{ill}/readyz is not well: 503 Service Unavailable: [31mdatabase: cannot connect\n");
    assert_eq!(err, line);

    let noise = answering("SSH-2.0-OpenSSH\r\n");
    let (code, _, err) = kit(&["health", &noise, "--timeout", "10s"]);
    assert!(code == Some(1) && err.contains("no HTTP"), "{err}");
    let (code, _, err) = kit(&["health", &format!("grpc://{noise}"), "--timeout", "10s"]);
    assert!(code == Some(1) && err.contains("is not well"), "{err}");

    for target in [nobody(), format!("grpc://{}", nobody())] {
        let (code, _, err) = kit(&["health", &target, "--timeout", "10s"]);
        assert!(code == Some(1) && err.contains("cannot connect: ") && err.contains("efused"), "{err}");
    }
}

#[test]
fn one_that_never_answers_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for scheme in ["http", "grpc"] {
        let target = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (code, _, err) = kit(&["health", &target, "--timeout", "100ms"]);
        assert!(code == Some(1) && err.contains("no answer within 100ms"), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_lasts_until_it_is_well_or_the_time_is_over() {
    let later = nobody();
    let (code, _, err) = ask(&["health", &later, "--wait", "300ms"]).await;
    assert!(code == Some(1) && err.contains("(asked for 300ms)"), "{err}");

    let asked = tokio::spawn({
        let later = later.clone();
        async move { ask(&["health", &later, "--wait", "60s"]).await }
    });
    answering_at(&later, WELL);
    let (code, out, err) = asked.await.unwrap();
    assert!(code == Some(0) && out.contains("is well"), "{out}{err}");
}

/// The last question had all of its own time, beyond the end of the wait.
#[test]
fn a_wait_is_not_outlasted_by_its_last_question() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    // It comes to an end at all: an hour is what one answer is waited for.
    let (code, _, err) = kit(&["health", &target, "--wait", "300ms", "--timeout", "1h"]);
    assert!(code == Some(1) && err.contains("no answer within ") && err.contains("(asked for 300ms)"), "{err}");
}

#[test]
fn wrong_questions_are_told_from_ill_services() {
    for (args, says) in [
        (&["health"][..], "<URL>"),
        (&["health", "nonsense"], "no port"),
        (&["health", "https://a:1"], "not built in"),
        (&["health", "a:1", "--service", "x"], "grpc://"),
        (&["health", "a:1", "--timeout", "2"], "no unit"),
        (&["health", "a:1", "--timeout", "0s"], "--timeout is 0"),
        (&["helth"], "helth"),
    ] {
        let (code, out, err) = kit(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
    assert!(kit(&["--version"]).1.starts_with("kit "));
    assert!(kit(&["health", "--help"]).1.contains("--wait"));
    assert!(kit(&["completions", "bash"]).1.contains("health"));
}
