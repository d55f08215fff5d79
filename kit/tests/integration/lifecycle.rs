//! Starting, stopping, and what a port does when it can't.

use std::{sync::Arc, time::Duration};

use kit::{
    Code, Context, Streaming,
    client::Channel,
    middleware::StandardStack,
    server::{Server, ServerConfig},
};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    sync::{Notify, mpsc},
};

use crate::{
    calls,
    chat::proto::chat::{Chat, ChatClient, ChatEndpoints, CountRequest},
    support::{OnDrop, Running, counting, get, line, room, saying, soon},
};

#[tokio::test]
async fn a_stop_finishes_what_runs_and_takes_nothing_new() {
    for address in [Running::grpc_url as fn(&Running) -> String, Running::http_url] {
        let (told, mut started) = mpsc::unbounded_channel();
        let go = Arc::new(Notify::new());
        let (handler_go, stream_go) = (Arc::clone(&go), Arc::clone(&go));
        let endpoints = ChatEndpoints {
            say: saying(move |_, said| {
                let (told, go) = (told.clone(), Arc::clone(&handler_go));
                async move {
                    told.send(()).unwrap();
                    go.notified().await;
                    Ok(line(&said.text.to_uppercase()))
                }
            })
            .say,
            ..counting(move |_, _| {
                let go = Arc::clone(&stream_go);
                async move {
                    let (sender, lines) = Streaming::channel(1);
                    tokio::spawn(async move {
                        sender.send(Ok(line("before"))).await.unwrap();
                        go.notified().await;
                        sender.send(Ok(line("after"))).await.unwrap();
                    });
                    Ok(lines)
                }
            })
        };
        let mut server = Running::serve(&endpoints.with(&StandardStack::default())).await;
        let (url, port) = (address(&server), server.http);
        let client = ChatClient::new(&Channel::new(&url).unwrap());
        let mut lines = client.count(&Context::background(), CountRequest { to: 1 }).await.unwrap();
        assert_eq!(soon(lines.message()).await.unwrap().unwrap().text, "before");
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.say(&Context::background(), line("late")).await }
        });
        soon(started.recv()).await.unwrap();

        server.stop();
        // The listeners go first: when one is gone, nothing new is taken while the call and the stream still run.
        soon(async {
            while TcpStream::connect(port).await.is_ok() {
                tokio::task::yield_now().await
            }
        })
        .await;
        let other = ChatClient::new(&Channel::new(&url).unwrap());
        let refused = other.say(&Context::background(), line("new")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");

        go.notify_waiters();
        assert_eq!(soon(call).await.unwrap().unwrap().text, "LATE", "{url}");
        assert_eq!(calls::all(&mut lines).await.unwrap(), ["after"], "{url}");
        soon(server.stopped()).await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_has_a_hard_end() {
    let (told, mut events) = mpsc::unbounded_channel();
    let endpoints = saying(move |_, _| {
        let told = told.clone();
        async move {
            told.send("started").unwrap();
            let _gone = OnDrop(told, "gone");
            std::future::pending().await
        }
    });
    let config = ServerConfig { drain_timeout: Duration::from_millis(50), ..ServerConfig::default() };
    let server = Running::start(Server::new().config(config).service(&endpoints)).await;
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let call = tokio::spawn(async move { client.say(&Context::background(), line("")).await });
    assert_eq!(soon(events.recv()).await, Some("started"));
    soon(server.stopped()).await.unwrap();
    assert_eq!(soon(events.recv()).await, Some("gone"));
    assert_eq!(soon(call).await.unwrap().unwrap_err().code(), Code::Unavailable);
}

/// A stop with idle connections is over at once.
#[tokio::test]
async fn idle_connections_do_not_hold_a_stop_up() {
    let server = Running::serve(&room()).await;
    let grpc = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    grpc.say(&Context::background(), line("")).await.unwrap();
    let http = ChatClient::new(&Channel::new(&server.http_url()).unwrap());
    http.say(&Context::background(), line("")).await.unwrap();
    let mut silent = TcpStream::connect(server.http).await.unwrap();
    soon(server.stopped()).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(silent.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    // The client finds out by itself that its connection is gone.
    assert_eq!(grpc.say(&Context::background(), line("")).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_taken_port_says_so() {
    let server = Running::serve(&room()).await;
    for second in [Server::new().http(server.http), Server::new().grpc(server.http), Server::new().shared(server.http)]
    {
        let error = second.service(&room()).bind().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&server.http.to_string()) && text.contains("another process has that port"), "{text}");
        // `main` shows the Debug of what it returns.
        assert_eq!(format!("{error:?}"), text);
    }
    // The first one does not notice.
    assert_eq!(get(server.http, "/v1/count/1").await.status, 200);
}

#[tokio::test]
async fn a_wrong_address_is_named() {
    for wrong in ["nowhere", "127.0.0.1", "127.0.0.1:99999", "not.a.host.invalid:80", "1.2.3.4:0", ""] {
        let error = Server::new().http(wrong).bind().await.unwrap_err();
        assert!(error.to_string().contains(&format!("can't listen on {wrong}")), "{error}");
    }
    let wrong =
        ["127.0.0.1:5", "grpc:127.0.0.1", "ftp://127.0.0.1:5", "grpc://", "http://", "http://a b", "grpc://a b"];
    for wrong in wrong {
        let error = Channel::new(wrong).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{wrong}");
        assert!(error.message().contains(wrong.split("://").next().unwrap()), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let config = ServerConfig { max_connections: 1, ..ServerConfig::default() };
    let server =
        Running::start(Server::new().config(config).service(&saying(|cx, _| async move {
            Ok(line(&cx.peer().unwrap().address.unwrap().port().to_string()))
        })))
        .await;
    let first = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let port = first.say(&Context::background(), line("")).await.unwrap().text;
    // The second connection is in the kernel's queue: its call comes to an end when the first one is gone.
    let second = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let mut waiting = tokio::spawn(async move { second.say(&Context::background(), line("")).await });
    for _ in 0..20 {
        assert_eq!(first.say(&Context::background(), line("")).await.unwrap().text, port);
        assert!(!waiting.is_finished(), "a second connection was served beside the first");
    }
    drop(first);
    let other = soon(&mut waiting).await.unwrap().unwrap().text;
    assert_ne!(other, port);
}

#[tokio::test]
async fn old_connections_are_asked_to_close() {
    let config = ServerConfig { max_connection_age: Some(Duration::from_millis(1)), ..ServerConfig::default() };
    let server = Running::start(Server::new().config(config).service(&room())).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    // A call that meets the end of its connection fails as one that may be made again, and the next has a new connection.
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    soon(async {
        let mut answered = 0;
        while answered < 5 {
            match client.say(&Context::background(), line("")).await {
                Ok(_) => answered += 1,
                Err(error) => assert_eq!(error.code(), Code::Unavailable, "{}", error.to_log()),
            }
        }
    })
    .await;
}
