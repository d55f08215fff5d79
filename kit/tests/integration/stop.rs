//! Stops that meet those who come late, and those who are stuck.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use kit::{
    debug::{Debug, DebugConfig, Unit},
    server::{Check, Server, ServerConfig},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    lifecycle::{held, say},
    support::{Log, Running, closed, room, soon},
};

/// Whoever is connected when the stop begins is connected for good: the port has a queue, and what waits in it is no less there
/// than what was taken out of it.
#[tokio::test]
async fn a_stop_answers_those_who_wait_in_the_queue_of_a_port() {
    answers_the_queue(&ServerConfig::default()).await;
}

pub(crate) async fn answers_the_queue(base: &ServerConfig) {
    let server = Server::new()
        .config(base.clone())
        .service(&room())
        .http("127.0.0.1:0")
        .shared("127.0.0.1:0")
        .bind()
        .await
        .unwrap();
    let (http, shared) = (server.http_addr().unwrap(), server.grpc_addr().unwrap());
    let mut clients = Vec::new();
    for number in 0..50 {
        let mut client = TcpStream::connect(if number % 2 == 0 { http } else { shared }).await.unwrap();
        client.write_all(b"GET /v1/count/1 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    // It stops before it has taken the first.
    soon(server.run(std::future::ready(()))).await.unwrap();
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
    assert!(TcpStream::connect(http).await.is_err());
}

#[tokio::test]
async fn a_stop_answers_those_who_wait_for_a_connection_to_end() {
    answers_who_waits_for_room(&ServerConfig::default()).await;
}

pub(crate) async fn answers_who_waits_for_room(base: &ServerConfig) {
    let (endpoints, mut started, go) = held();
    let config = ServerConfig { max_connections: 1, ..base.clone() };
    let mut server = Running::start(Server::new().config(config).service(&endpoints)).await;
    let call = say(server.http_url());
    soon(started.recv()).await.unwrap();
    // One of them was taken and waits, the other is still in the queue.
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = TcpStream::connect(server.http).await.unwrap();
        client.write_all(b"GET /v1/count/1 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    server.stop();
    closed(server.http).await;
    go.notify_waiters();
    assert_eq!(soon(call).await.unwrap().unwrap(), "a");
    for mut client in clients {
        let mut answer = String::new();
        soon(client.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
    soon(server.stopped()).await.unwrap();
}

/// What blocks the thread that calls it: tells that it does, and does it until the last value is dropped.
pub(crate) fn blocking() -> (impl Fn() + Send + Sync, mpsc::UnboundedReceiver<()>, std::sync::mpsc::Sender<()>) {
    let (told, blocked) = mpsc::unbounded_channel();
    let (free, freed) = std::sync::mpsc::channel::<()>();
    let freed = Mutex::new(freed);
    let block = move || {
        let _ = told.send(());
        let _ = freed.lock().unwrap().recv();
    };
    (block, blocked, free)
}

/// A check that blocks its thread can't be ended, and was waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_blocks_its_thread_does_not_hold_a_stop_up() {
    let (block, mut blocked, free) = blocking();
    let block = Arc::new(block);
    let check = Check::new("stuck", move || {
        let block = Arc::clone(&block);
        async move {
            block();
            Ok(())
        }
    });
    let server = Running::start(Server::new().service(&room()).check(check)).await;
    soon(blocked.recv()).await.unwrap();
    let stopped = soon(server.stopped()).await;
    // The runtime of the test waits for its threads.
    drop(free);
    stopped.unwrap();
}

/// The figures of the debug port were waited for without an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_figure_that_blocks_its_thread_does_not_hold_a_stop_up() {
    let (block, mut blocked, free) = blocking();
    let config = DebugConfig { addr: "127.0.0.1:0".parse().unwrap(), ..DebugConfig::default() };
    let debug = Debug::new("stuck").config(&config).gauges("Stuck", Unit::Count, ["stuck"], move || {
        block();
        [1.0]
    });
    let server = Running::start(Server::new().service(&room()).debug(debug)).await;
    soon(blocked.recv()).await.unwrap();
    let stopped = soon(server.stopped()).await;
    drop(free);
    stopped.unwrap();
}

#[tokio::test]
async fn calls_that_are_cut_because_their_connection_is_old_are_told() {
    let log = Log::start();
    let (endpoints, mut started, _go) = held();
    let config = ServerConfig {
        max_connection_age: Some(Duration::from_millis(1)),
        drain_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let server = Running::start(Server::new().config(config).service(&endpoints)).await;
    let mut client = TcpStream::connect(server.http).await.unwrap();
    client
        .write_all(b"POST /v1/say HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        .await
        .unwrap();
    soon(started.recv()).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(client.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    let peer = client.local_addr().unwrap().to_string();
    let lines = log.with("calls are cut: their connection is too old");
    let told = lines.iter().any(|line| line["calls"] == 1 && line["peer"].to_string().contains(&peer));
    assert!(told, "{lines:?}");
    soon(server.stopped()).await.unwrap();
}
