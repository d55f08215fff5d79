//! One recording at a time, and recordings that end before their time.

use std::time::Duration;

use kit::{
    client::Channel,
    server::{Server, ServerConfig},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    chat::proto::chat::{Chat as _, ChatClient},
    support::{Running, get, line, room, soon},
    work::{Work, debug},
};

const LONG: [&str; 3] = ["pprof/profile?seconds=300", "flamegraph?seconds=300", "pprof/trace?seconds=60"];

/// Asks for a recording of some minutes, and waits until it runs.
async fn long(work: &Work, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(work.server.http).await.unwrap();
    stream.write_all(format!("GET /debug/{path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
    work.recording().await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_recording_is_told_how_long_the_first_takes() {
    let work = Work::start().await;
    // Another debug port of the process, as BookInfo has it, shares the rule: there is one signal for both.
    let other = debug();
    let other = Running::start(Server::new().service(&room()).routes(other.routes())).await;
    let running = long(&work, LONG[0]).await;
    for port in [work.server.http, other.http] {
        for path in ["pprof/profile?seconds=1", "flamegraph?seconds=1", "pprof/trace?seconds=1"] {
            let answer = get(port, &format!("/debug/{path}")).await;
            assert_eq!(answer.status, 409, "{path}");
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((200..=300).contains(&seconds), "{seconds}");
            let text = answer.text();
            assert!(text.contains("a CPU profile is being recorded") && text.contains(" s are left"), "{text}");
        }
    }
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_its_recording() {
    let work = Work::start().await;
    for path in LONG {
        drop(long(&work, path).await);
        work.idle().await;
    }
    assert_eq!(soon(get(work.server.http, "/debug/pprof/profile?seconds=1")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_what_is_recorded_and_refuses_more() {
    for path in LONG {
        let mut work = Work::under_load().await;
        let address = work.server.http;
        let asked = tokio::spawn(async move { get(address, &format!("/debug/{path}")).await });
        work.recording().await;
        work.stop_debug().await;
        let answer = soon(asked).await.unwrap();
        // What was gathered so far. A machine that is very busy may not write it within the second that a stop waits: then the
        // answer is 503, or breaks off when its head is out.
        assert!(matches!(answer.status, 200 | 503), "{path}: {}", answer.text());
        let refused = get(address, &format!("/debug/{path}")).await;
        assert_eq!(refused.status, 503, "{path}");
        assert!(refused.text().contains("the server is stopping"), "{}", refused.text());
    }
}

/// A server that stops without a word to its profiles drops their connections in the end, and them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_records_nothing() {
    let work = Work::start().await;
    let config = ServerConfig { drain_timeout: Duration::from_millis(50), ..ServerConfig::default() };
    let debug = debug();
    let server = Running::start(Server::new().config(config).service(&room()).routes(debug.routes())).await;
    let asked = tokio::spawn(get_or_nothing(server.http));
    work.recording().await;
    let cut = soon(server.stopped()).await.unwrap_err();
    assert_eq!(cut.to_string(), "1 call was cut at the stop");
    soon(asked).await.unwrap();
    work.idle().await;
}

async fn get_or_nothing(address: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /debug/pprof/profile?seconds=300 HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_profiles_come_and_go() {
    let work = Work::under_load().await;
    let address = work.server.http;
    let heaps = tokio::spawn(async move {
        for _ in 0..20 {
            assert_eq!(get(address, "/debug/pprof/heap").await.status, 200);
        }
    });
    for _ in 0..3 {
        assert_eq!(get(address, "/debug/pprof/profile?seconds=1&hz=999").await.status, 200);
    }
    heaps.await.unwrap();
    let client = ChatClient::new(&Channel::new(&work.server.grpc_url()).unwrap());
    assert!(client.say(&kit::Context::background(), line("still")).await.unwrap().text.starts_with("still"));
}
