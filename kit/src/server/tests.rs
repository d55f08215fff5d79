//! What only the inside can bring about.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};

use super::*;

/// Makes a listening socket one that does not listen any more, as nothing from the outside can.
fn kill(listener: &Listener) {
    let socket: OwnedFd = listener.socket().as_fd().try_clone_to_owned().unwrap();
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
