//! The end of connections, without a network.

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::Notify,
    time::Instant,
};

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn here() -> App {
    App::new(axum::Router::new().route("/", get(async || "here")))
}

/// The client's end of a connection that is served, and the stop of it.
async fn connect(config: &ServerConfig, app: App) -> (DuplexStream, Connections) {
    let connections = Connections::new(config);
    let (client, stream) = tokio::io::duplex(64 * 1024);
    let this = connections.clone();
    connections.spawn(async move { this.run(stream, Peer::default(), app).await });
    // It waits for what the client says.
    tokio::task::yield_now().await;
    (client, connections)
}

async fn answer(client: &mut DuplexStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_just_after_the_stop_on_a_new_connection_is_answered() {
    let (mut client, connections) = connect(&ServerConfig::default(), here()).await;
    connections.leave();
    let asks = async {
        sleep(FIRST_REQUEST / 2).await;
        client.write_all(REQUEST).await.unwrap();
        answer(&mut client).await
    };
    let (cut, answer) = tokio::join!(connections.drain(Duration::from_secs(30), std::future::pending()), asks);
    assert_eq!(cut, 0);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("here"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

/// An answer that is handed over in one piece is over for its call long before a slow client has it.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_all_of_its_answer() {
    const SIZE: usize = 1024 * 1024;
    let app = App::new(axum::Router::new().route("/", get(async || vec![b'x'; SIZE])));
    let config = ServerConfig { header_timeout: Duration::from_secs(1), ..ServerConfig::default() };
    let (mut client, _connections) = connect(&config, app).await;
    client.write_all(REQUEST).await.unwrap();
    let mut read = 0;
    let mut buffer = vec![0; 64 * 1024];
    while read < SIZE {
        sleep(config.header_timeout * 5).await;
        let count = client.read(&mut buffer).await.unwrap();
        assert!(count > 0, "cut after {read} bytes");
        read += count;
    }
    // And then it is silent.
    while client.read(&mut buffer).await.unwrap() > 0 {}
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_request_that_has_begun_is_waited_for() {
    let (mut client, connections) = connect(&ServerConfig::default(), here()).await;
    let (first, rest) = REQUEST.split_at(10);
    client.write_all(first).await.unwrap();
    let asks = async {
        sleep(FIRST_REQUEST * 5).await;
        client.write_all(rest).await.unwrap();
        answer(&mut client).await
    };
    let (cut, answer) = tokio::join!(connections.drain(Duration::from_secs(30), std::future::pending()), asks);
    assert_eq!(cut, 0);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_holds_a_stop_up_for_a_moment_only() {
    let (mut client, connections) = connect(&ServerConfig::default(), here()).await;
    let started = Instant::now();
    assert_eq!(connections.drain(Duration::from_secs(30), std::future::pending()).await, 0);
    // A timer is late by up to a millisecond.
    assert!((FIRST_REQUEST..FIRST_REQUEST * 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert_eq!(answer(&mut client).await, "");
    // And no moment when it is to end at once.
    let (_client, connections) = connect(&ServerConfig::default(), here()).await;
    let started = Instant::now();
    assert_eq!(connections.drain(Duration::from_secs(30), std::future::ready(())).await, 0);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// What an old connection had on it was cut by its own clock in the middle of a stop, and counted by nobody.
#[tokio::test(start_paused = true)]
async fn a_stop_counts_the_calls_of_connections_that_are_too_old() {
    let started = Arc::new(Notify::new());
    let told = Arc::clone(&started);
    let hang = move || {
        let told = Arc::clone(&told);
        async move {
            told.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let app = App::new(axum::Router::new().route("/", get(hang)));
    let config = ServerConfig {
        max_connection_age: Some(Duration::from_secs(60)),
        drain_timeout: Duration::from_secs(10),
        ..ServerConfig::default()
    };
    let (mut client, connections) = connect(&config, app).await;
    client.write_all(REQUEST).await.unwrap();
    started.notified().await;
    sleep(Duration::from_secs(61)).await;
    let began = Instant::now();
    assert_eq!(connections.drain(config.drain_timeout, std::future::pending()).await, 1);
    assert!(began.elapsed() >= config.drain_timeout, "{:?}", began.elapsed());
}
