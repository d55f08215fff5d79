//! Streams over HTTP/JSON: their forms, their errors, both directions.

use super::*;

/// The three forms of a stream: what is accepted, the content type, and the text of the messages `1` and `2`.
const FORMS: [(&str, &str, &str); 3] = [
    ("application/x-ndjson", "application/x-ndjson", "{\"text\":\"1\"}\n{\"text\":\"2\"}\n"),
    ("text/event-stream", "text/event-stream", "data: {\"text\":\"1\"}\n\ndata: {\"text\":\"2\"}\n\n"),
    ("application/json", "application/json", "[{\"text\":\"1\"},{\"text\":\"2\"}]"),
];

#[tokio::test]
async fn a_stream_comes_in_the_form_that_is_accepted() {
    let server = Running::serve(&room().with(&StandardStack::default())).await;
    for (accept, content_type, text) in FORMS {
        let answer = accepting(&server, "/v1/count/2", accept).await;
        assert_eq!((answer.status, answer.header("content-type"), &*answer.text()), (200, Some(content_type), text));
        assert_eq!((answer.complete, answer.header("cache-control")), (true, Some("no-store")));
    }
    for accept in ["*/*", "text/html, */*;q=0.1"] {
        assert_eq!(accepting(&server, "/v1/count/2", accept).await.text(), FORMS[0].2, "{accept}");
    }
    assert_eq!(get(server.http, "/v1/count/2").await.text(), FORMS[0].2);
    assert_eq!(accepting(&server, "/v1/count/0", "application/json").await.text(), "[]");
    assert_eq!(accepting(&server, "/v1/count/0", "text/event-stream").await.text(), "");

    let answer = accepting(&server, "/v1/count/2", "image/png").await;
    assert_eq!((answer.status, &answer.json()["code"]), (406, &json!(3)));
    assert!(answer.json()["message"].as_str().unwrap().contains("text/event-stream"), "{}", answer.text());
}

#[tokio::test]
async fn an_error_in_mid_stream_is_said_and_the_body_is_broken_off() {
    let server = Running::serve(
        &counting(|_, _| async {
            let error = torn();
            Ok(Streaming::new(tokio_stream::iter([Ok(line("1")), Ok(line("2")), Err(error)])))
        })
        .with(&StandardStack::default()),
    )
    .await;
    for (accept, _, text) in FORMS {
        let answer = accepting(&server, "/v1/count/9", accept).await;
        assert_eq!((answer.status, answer.complete), (200, false), "{accept}");
        let body = answer.text();
        let rest = body.strip_prefix(text.trim_end_matches(']')).unwrap_or_else(|| panic!("{accept}: {body}"));
        let error: Value =
            serde_json::from_str(rest.trim_start_matches("event: error\ndata: ").trim_start_matches(',').trim_end())
                .unwrap_or_else(|e| panic!("{accept}: {e}: {rest}"));
        assert_eq!(error["error"]["code"], 15, "{accept}");
        assert_eq!(error["error"]["message"], "the tape is torn");
        assert_eq!(error["error"]["details"][0]["reason"], "TORN");
        assert!(!body.contains("SECRET"), "{body}");
        if accept == "text/event-stream" {
            assert!(rest.starts_with("event: error\n"), "{rest}");
        }
    }
}

fn torn() -> Error {
    Error::new(Code::DataLoss, "the tape is torn").with_reason("TORN", "demo.example").with_log("SECRET")
}

#[tokio::test]
async fn an_error_at_the_start_of_a_stream_is_the_status() {
    let server = Running::serve(
        &counting(|_, _| async { Ok(Streaming::new(tokio_stream::iter([Err(Error::not_found("no such number"))]))) })
            .with(&StandardStack::default()),
    )
    .await;
    for (accept, ..) in FORMS {
        let answer = accepting(&server, "/v1/count/9", accept).await;
        assert_eq!((answer.status, answer.complete), (404, true), "{accept}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["message"], "no such number");
    }
}

#[tokio::test]
async fn messages_of_a_stream_come_as_they_are_made() {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let server = Running::serve(&counting(move |_, _| {
        let mut receiver = receiver.lock().unwrap().take().unwrap();
        async move { Ok(Streaming::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))) }
    }))
    .await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    // A client that takes gzip must not wait for a buffer to fill.
    stream.write_all(b"GET /v1/count/9 HTTP/1.1\r\nhost: t\r\naccept-encoding: gzip\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    for text in ["one", "two"] {
        sender.send(Ok(line(text))).await.unwrap();
        let wanted = format!("{{\"text\":\"{text}\"}}\n");
        soon(async {
            while !received.windows(wanted.len()).any(|w| w == wanted.as_bytes()) {
                assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0, "{received:?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn client_streams_and_both_ways_by_lines() {
    let server = Running::serve(&room()).await;
    let body = b"{\"text\":\"one\"}\n\n{\"text\":\"two\"}\r\n{\"text\":\"three\"}";
    let answer = request(server.http, "POST", "/v1/dictate", &[LINES], body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"lines": 3, "letters": "11"})));
    let answer = request(server.http, "POST", "/v1/talk", &[LINES], body).await;
    assert_eq!(
        answer.text(),
        "{\"text\":\"you said: one\"}\n{\"text\":\"you said: two\"}\n{\"text\":\"you said: three\"}\n"
    );
    // Nothing is a stream of nothing.
    assert_eq!(request(server.http, "POST", "/v1/dictate", &[LINES], b"").await.json()["lines"], 0);
    // A broken line ends the call with its error.
    let answer = request(server.http, "POST", "/v1/dictate", &[LINES], b"{\"text\":\"one\"}\n{\"text\":").await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(3)));
    assert_eq!(request(server.http, "POST", "/v1/dictate", &["content-type: text/csv"], b"a").await.status, 415);
    assert_eq!(get(server.http, "/v1/count/1").await.status, 200);
}

/// The half of a stream that is sent is answered before the other half is there.
#[tokio::test]
async fn both_ways_at_once_over_http1() {
    let endpoints = ChatEndpoints {
        talk: Endpoint::from_fn(CHAT_TALK.clone(), |_, lines: Streaming<Line>| async move { Ok(lines) }),
        ..room()
    };
    let server = Running::serve(&endpoints).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let head = format!("POST /v1/talk HTTP/1.1\r\nhost: t\r\n{LINES}\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    for text in ["one", "two"] {
        let sent = format!("{{\"text\":\"{text}\"}}\n");
        stream.write_all(format!("{:x}\r\n{sent}\r\n", sent.len()).as_bytes()).await.unwrap();
        soon(async {
            while !received.windows(sent.len()).any(|w| w == sent.as_bytes()) {
                assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
            }
        })
        .await;
    }
}
