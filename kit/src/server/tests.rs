//! What only the inside can bring about.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};

use super::*;

/// Makes a listening socket one that does not listen any more, as nothing from the outside can.
fn kill(listener: &Listener) {
    let socket: OwnedFd = listener.sockets()[0].as_fd().try_clone_to_owned().unwrap();
    TcpStream::from(socket).shutdown(Shutdown::Both).unwrap();
}

#[tokio::test]
async fn a_listener_that_dies_stops_the_server_which_says_so() {
    // A stop for this reason does not wait for balancers: a port is gone.
    let config = ServerConfig { shutdown_delay: Duration::from_secs(3600), ..ServerConfig::default() };
    let server = Server::new().config(config).http("127.0.0.1:0").grpc("127.0.0.1:0").bind().await.unwrap();
    let addresses: Vec<SocketAddr> = server.listeners.iter().map(Listener::local_addr).collect();
    kill(&server.listeners[0]);
    let running = server.run(std::future::pending());
    let error = tokio::time::timeout(Duration::from_secs(60), running).await.expect("it ends").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("the listener on {} died: ", addresses[0])), "{text}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(TcpStream::connect(addresses[1]).is_err(), "the other port is closed, too");
}

#[tokio::test]
async fn a_core_whose_thread_panics_stops_the_server_which_says_so() {
    let config = ServerConfig {
        runtime: RuntimeKind::ThreadPerCore,
        cores: CoresConfig { threads: 2.try_into().ok(), ..CoresConfig::default() },
        shutdown_delay: Duration::from_secs(3600),
        ..ServerConfig::default()
    };
    let routes = axum::Router::new().route("/", axum::routing::get(async || "here"));
    let server = Server::new().config(config.clone()).http("127.0.0.1:0").routes(routes);
    let mut server = server.bind().await.unwrap();
    let address = server.http_addr().unwrap();
    let panics = std::sync::Arc::new(tokio::sync::Notify::new());
    let told = panics.clone();
    let cores = Cores::start_with(&config.cores, move |index, ended| {
        let told = told.clone();
        async move {
            if index == 1 {
                told.notified().await;
                panic!("tired");
            }
            ended.cancelled().await;
        }
    });
    server.cores = Some(cores.unwrap());
    let running = tokio::spawn(server.run(std::future::pending()));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut answer = String::new();
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("here"), "{answer}");
    panics.notify_one();
    let error = tokio::time::timeout(Duration::from_secs(60), running).await.expect("it ends").unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the thread of core 1 panicked, and its calls were cut");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_was_cut_is_counted_in_words() {
    let text = |calls, tasks| ServeError::cut(None, calls, tasks).to_string();
    assert_eq!(text(1, 0), "1 call was cut at the stop");
    assert_eq!(text(0, 2), "2 background tasks were cut at the stop");
    assert_eq!(text(3, 1), "3 calls were cut at the stop; 1 background task was cut at the stop");
    let died = ServeError::listener("127.0.0.1:1".parse().unwrap(), std::io::Error::other("tired"));
    let text = ServeError::cut(Some(died), 1, 0).to_string();
    assert_eq!(text, "the listener on 127.0.0.1:1 died: tired; 1 call was cut at the stop");
}
