//! Connections that hang up, are slow, or are lost to a panic.

use super::*;

#[tokio::test]
async fn hanging_up_by_http1() {
    let (told, mut events) = mpsc::unbounded_channel();
    let (told_say, told_count) = (told.clone(), told.clone());
    let endpoints = ChatEndpoints {
        say: saying(move |_, _| {
            let told = told_say.clone();
            async move {
                told.send("started").unwrap();
                let _gone = OnDrop(told, "gone");
                std::future::pending().await
            }
        })
        .say,
        dictate: Endpoint::from_fn(CHAT_DICTATE.clone(), move |_, mut lines: Streaming<Line>| {
            let told = told.clone();
            async move {
                let _gone = OnDrop(told.clone(), "dictate gone");
                let mut summary = Summary::default();
                loop {
                    match lines.message().await {
                        Ok(Some(_)) => told.send("line").unwrap(),
                        Ok(None) => break told.send("complete").unwrap(),
                        Err(error) => {
                            told.send("broken").unwrap();
                            return Err(error);
                        }
                    }
                    summary.lines += 1;
                }
                Ok(summary)
            }
        }),
        ..counting(move |_, _| {
            let told = told_count.clone();
            async move {
                let (sender, lines) = Streaming::channel(1);
                sender.send(Ok(line("first"))).await?;
                Ok(lines.hold((sender, OnDrop(told, "stream gone"))))
            }
        })
    };
    let server = Running::serve(&endpoints.with(&StandardStack::default())).await;
    let connect = async |text: &str| {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    };
    // In the middle of the head, of the body: no handler was started, and nothing hangs.
    drop(connect("POST /v1/say HTTP/1.1\r\nhost: t\r\ncontent-").await);
    drop(connect(&format!("POST /v1/say HTTP/1.1\r\nhost: t\r\n{JSON}\r\ncontent-length: 100\r\n\r\n{{\"te")).await);
    lives(&server).await;
    assert!(events.recv().now_or_never().is_none(), "a request that was not complete was handled");

    // While the handler runs, and in the middle of its stream.
    let stream = connect(&format!("POST /v1/say HTTP/1.1\r\nhost: t\r\n{JSON}\r\ncontent-length: 2\r\n\r\n{{}}")).await;
    assert_eq!(soon(events.recv()).await, Some("started"));
    drop(stream);
    assert_eq!(soon(events.recv()).await, Some("gone"));
    let mut stream = connect("GET /v1/count/1 HTTP/1.1\r\nhost: t\r\n\r\n").await;
    let mut received = Vec::new();
    soon(async {
        while !received.windows(5).any(|w| w == b"first") {
            assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
        }
    })
    .await;
    drop(stream);
    assert_eq!(soon(events.recv()).await, Some("stream gone"));

    // A stream of requests that breaks off is not a complete one.
    let stream = connect("POST /v1/dictate HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\nc\r\n{\"text\":\"a\"}\r\n1\r\n\n\r\n").await;
    assert_eq!(soon(events.recv()).await, Some("line"));
    drop(stream);
    // hyper drops the handler, or lets it see the error first.
    let mut event = soon(events.recv()).await;
    if event == Some("broken") {
        event = soon(events.recv()).await;
    }
    assert_eq!(event, Some("dictate gone"));
    lives(&server).await;
}

#[tokio::test]
async fn handlers_that_panic() {
    let endpoints = ChatEndpoints {
        say: saying(|_, said| async move { if said.text == "panic" { panic!("SECRET") } else { Ok(said) } }).say,
        ..counting(|_, request| async move {
            if request.to == 0 {
                panic!("SECRET");
            }
            let lines = (1..=request.to).map(|n| if n == 3 { panic!("SECRET") } else { line(&n.to_string()) });
            Ok(Streaming::from_iter(lines))
        })
    };
    let server = Running::serve(&endpoints.with(&StandardStack::default())).await;
    for url in [server.grpc_url(), server.http_url()] {
        let (client, cx) = (ChatClient::new(&Channel::new(&url).unwrap()), Context::background());
        let error = client.say(&cx, line("panic")).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal, "{url}");
        assert!(!error.to_log().to_string().contains("SECRET"), "{url}: {}", error.to_log());
        assert_eq!(client.say(&cx, line("a")).await.unwrap().text, "a");
        let mut lines = client.count(&cx, CountRequest { to: 5 }).await.unwrap();
        let (before, error) = calls::all(&mut lines).await.unwrap_err();
        assert_eq!((before, error.code()), (vec!["1".to_owned(), "2".to_owned()], Code::Internal), "{url}");
        assert_eq!(client.count(&cx, CountRequest { to: 0 }).await.unwrap_err().code(), Code::Internal);
        assert_eq!(
            calls::all(&mut client.count(&cx, CountRequest { to: 2 }).await.unwrap()).await.unwrap(),
            ["1", "2"]
        );
    }
    let answer = post(server.http, "/v1/say", r#"{"text":"panic"}"#).await;
    refused(&answer, 500, Code::Internal, "");
    assert!(!answer.text().contains("SECRET"));
}

/// Without the standard chain a panic costs its connection, and only that.
#[tokio::test]
async fn a_panic_that_nobody_recovers() {
    let server =
        Running::serve(&saying(|_, said| async move { if said.text == "panic" { panic!("alone") } else { Ok(said) } }))
            .await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let body = r#"{"text":"panic"}"#;
    let sent = format!("POST /v1/say HTTP/1.1\r\nhost: t\r\n{JSON}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    lives(&server).await;
    assert_eq!(post(server.http, "/v1/say", r#"{"text":"a"}"#).await.status, 200);
    soon(server.stopped()).await.unwrap();
}

#[tokio::test]
async fn slow_headers_are_not_waited_for() {
    let config = ServerConfig { header_timeout: Duration::from_millis(100), ..ServerConfig::default() };
    let server = Running::start(Server::new().config(config).service(&room())).await;
    for begun in ["", "GET /v1/cou", "GET /v1/count/1 HTTP/1.1\r\nhost: t\r\n"] {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // The server closes, be it with a word or without.
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(get(server.http, "/v1/count/1").await.status, 200);
}

/// A body that does not come is not waited for for ever.
#[tokio::test]
async fn slow_bodies_are_not_waited_for() {
    let config = HttpConfig { body_timeout: Duration::from_millis(100), ..HttpConfig::default() };
    let server = Running::start(Server::new().http_config(config).service(&room())).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let begun =
        format!("POST /v1/say HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{JSON}\r\ncontent-length: 100\r\n\r\n{{\"te");
    stream.write_all(begun.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert!(rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    lives(&server).await;
}
