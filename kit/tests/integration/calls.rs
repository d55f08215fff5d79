//! What a generated client does alike over gRPC and over HTTP/JSON: `grpc.rs` and `http.rs` run each of these.

use std::time::Duration;

use kit::{
    Code, Context, Endpoint, Error, Reason, Request, Streaming,
    client::Channel,
    middleware::{ServerStackConfig, StandardStack},
};
use tokio::sync::mpsc;

use crate::{
    chat::proto::chat::{
        CHAT_DICTATE, CHAT_SAY, CHAT_TALK, Chat, ChatClient, ChatEndpoints, CountRequest, Line, Summary,
    },
    support::{Log, OnDrop, Running, counting, line, room, saying, soon},
};

/// The address of a server by the transport that is tested.
pub(crate) type Address = fn(&Running) -> String;

async fn client(server: &Running, address: Address) -> ChatClient {
    ChatClient::new(&Channel::new(&address(server)).unwrap())
}

pub(crate) async fn all(lines: &mut Streaming<Line>) -> Result<Vec<String>, (Vec<String>, Error)> {
    let mut texts = Vec::new();
    loop {
        match soon(lines.message()).await {
            Ok(Some(line)) => texts.push(line.text),
            Ok(None) => return Ok(texts),
            Err(error) => return Err((texts, error)),
        }
    }
}

pub(crate) async fn every_kind(address: Address) {
    let server = Running::serve(&room().with(&StandardStack::default())).await;
    let (client, cx) = (client(&server, address).await, Context::background());

    assert_eq!(client.say(&cx, line("höi & so?")).await.unwrap().text, "HÖI & SO?");

    let mut numbers = client.count(&cx, CountRequest { to: 3 }).await.unwrap();
    assert_eq!(all(&mut numbers).await.unwrap(), ["1", "2", "3"]);
    let mut none = client.count(&cx, CountRequest { to: 0 }).await.unwrap();
    assert!(all(&mut none).await.unwrap().is_empty());

    let summary = client.dictate(&cx, Streaming::from_iter([line("one"), line("two\nlines")])).await.unwrap();
    assert_eq!(summary, Summary { lines: 2, letters: 11 });
    assert_eq!(client.dictate(&cx, Streaming::from_iter([])).await.unwrap(), Summary::default());

    // Each line is sent after the answer to the one before has come: the streams run beside each other.
    let (sender, lines) = Streaming::channel(1);
    let mut answers = soon(client.talk(&cx, lines)).await.unwrap();
    for text in ["a", "b"] {
        sender.send(Ok(line(text))).await.unwrap();
        assert_eq!(soon(answers.message()).await.unwrap().unwrap().text, format!("you said: {text}"));
    }
    drop(sender);
    assert_eq!(soon(answers.message()).await.unwrap(), None);
}

pub(crate) async fn metadata_travels_both_ways(address: Address) {
    let back = Running::serve(&saying(|cx, _| async move {
        let heard = |name: &str| cx.metadata().get_all(name).collect::<Vec<_>>().join("+");
        cx.set_response_metadata("x-back", "1")?;
        Ok(line(&format!("{} {} {}", heard("x-tenant"), heard("x-own"), heard("traceparent"))))
    }))
    .await;
    let next = client(&back, address).await;
    let front = Running::serve(&saying(move |cx, said| {
        let next = next.clone();
        async move {
            cx.set_response_metadata("x-front", "2")?;
            cx.set_response_metadata("x-front", "3")?;
            let answer = next.say(&cx.clone().with_outgoing("x-own", "front")?, said).await?;
            let heard = cx.metadata().get("x-tenant").unwrap_or_default().to_owned();
            Ok(line(&format!("{heard}, then {}", answer.text)))
        }
    }))
    .await;

    let cx = Context::background()
        .with_outgoing("x-tenant", "blue")
        .unwrap()
        .with_outgoing("x-tenant", "green")
        .unwrap()
        .with_outgoing("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .unwrap();
    let say = &client(&front, address).await.endpoints().say.clone();
    let answer = say.call(Request::new(cx.next(&CHAT_SAY), line(""))).await.unwrap();
    // Trace headers go on to the next hop, other metadata does not, and nothing comes back from it.
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(answer.message().text, format!("blue, then  front {trace}"));
    assert_eq!(answer.metadata().get_all("x-front").collect::<Vec<_>>(), ["2", "3"]);
    assert_eq!(answer.metadata().get("x-back"), None);
    assert_eq!(answer.metadata().get("content-type"), None);
}

/// An error with all that an error can have.
pub(crate) fn rich_error() -> Error {
    Error::resource_exhausted("slow down: ü")
        .with_reason("RATE", "demo.example")
        .with_reason_metadata("limit", "10")
        .with_field_violation("sub.tags[2]", "is too long")
        .with_field_violation("id", "must be above zero")
        .with_retry_delay(Duration::from_millis(1500))
        .with_detail(&prost_types::Timestamp { seconds: 7, nanos: 0 })
        .with_log("SECRET of the log")
        .with_source("SECRET cause")
}

fn assert_rich(error: &Error) {
    assert_eq!((error.code(), error.message()), (Code::ResourceExhausted, "slow down: ü"));
    let metadata = [("limit".to_owned(), "10".to_owned())].into();
    assert_eq!(error.reason(), Some(&Reason { reason: "RATE".into(), domain: "demo.example".into(), metadata }));
    let violations: Vec<_> = error.field_violations().iter().map(|v| (&*v.field, &*v.description)).collect();
    assert_eq!(violations, [("sub.tags[2]", "is too long"), ("id", "must be above zero")]);
    assert_eq!(error.retry_delay(), Some(Duration::from_millis(1500)));
    assert_eq!(error.detail::<prost_types::Timestamp>().unwrap().seconds, 7);
    assert!(!format!("{error:?} {}", error.to_log()).contains("SECRET"), "{error:?}");
}

pub(crate) async fn errors_come_back_whole(address: Address) {
    let endpoints = ChatEndpoints {
        dictate: Endpoint::from_fn(CHAT_DICTATE.clone(), |_, _| async { Err(rich_error()) }),
        count: counting(|_, _| async { Err(rich_error()) }).count,
        ..saying(|cx, _| async move {
            cx.set_response_metadata("x-shelf", "7")?;
            Err(rich_error())
        })
    };
    let server = Running::serve(&endpoints).await;
    let (client, cx) = (client(&server, address).await, Context::background());
    let error = client.say(&cx, line("")).await.unwrap_err();
    assert_rich(&error);
    assert_eq!(error.received_metadata().get("x-shelf"), Some("7"));
    assert!(error.metadata().is_empty(), "it is not sent on");
    assert_rich(&client.dictate(&cx, Streaming::from_iter([line("")])).await.unwrap_err());
    assert_rich(&client.count(&cx, CountRequest { to: 1 }).await.unwrap_err());
}

pub(crate) async fn every_code_comes_back(address: Address) {
    let server = Running::serve(&saying(|_, said| async move {
        let code = Code::ALL.into_iter().find(|code| code.name() == said.text).unwrap();
        Err(Error::new(code, format!("it is {code}")))
    }))
    .await;
    let client = client(&server, address).await;
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
        let error = client.say(&Context::background(), line(code.name())).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (code, format!("it is {code}").as_str()));
    }
}

pub(crate) async fn a_stream_may_end_with_an_error(address: Address) {
    let server = Running::serve(&counting(|_, request| async move {
        let lines = (1..=request.to).map(|n| Ok(line(&n.to_string())));
        Ok(Streaming::new(tokio_stream::iter(lines.chain([Err(rich_error()), Ok(line("never"))]))))
    }))
    .await;
    let (client, cx) = (client(&server, address).await, Context::background());
    let mut lines = client.count(&cx, CountRequest { to: 2 }).await.unwrap();
    let (before, error) = all(&mut lines).await.unwrap_err();
    assert_eq!(before, ["1", "2"]);
    assert_rich(&error);
    assert_eq!(lines.message().await.unwrap(), None, "a stream ends with its error");

    // At its very start it is the error of the call or of the first message.
    let error = match client.count(&cx, CountRequest { to: 0 }).await {
        Ok(mut lines) => all(&mut lines).await.unwrap_err().1,
        Err(error) => error,
    };
    assert_rich(&error);
}

/// What the caller's own stream fails with is what the caller gets, and the service does not take the stream for complete.
pub(crate) async fn a_failing_request_stream_is_no_complete_one(address: Address) {
    let (told, mut ends) = mpsc::unbounded_channel();
    let talk_told = told.clone();
    let endpoints = ChatEndpoints {
        dictate: Endpoint::from_fn(CHAT_DICTATE.clone(), move |_, mut lines: Streaming<Line>| {
            let told = told.clone();
            async move {
                let _gone = OnDrop(told.clone(), "gone");
                while lines.message().await?.is_some() {
                    told.send("line").unwrap();
                }
                told.send("complete").unwrap();
                Ok(Summary::default())
            }
        }),
        talk: Endpoint::from_fn(CHAT_TALK.clone(), move |_, lines: Streaming<Line>| {
            let gone = OnDrop(talk_told.clone(), "gone");
            async move { Ok(lines.hold(gone)) }
        }),
        ..room()
    };
    let server = Running::serve(&endpoints).await;
    let (client, cx) = (client(&server, address).await, Context::background());
    let (sender, lines) = Streaming::channel(1);
    sender.send(Ok(line("one"))).await.unwrap();
    let fail = async {
        assert_eq!(soon(ends.recv()).await, Some("line"));
        sender.send(Err(Error::aborted("mine"))).await.unwrap();
    };
    let (answer, ()) = tokio::join!(soon(client.dictate(&cx, lines)), fail);
    let error = answer.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Aborted, "mine"));
    assert_eq!(soon(ends.recv()).await, Some("gone"));

    let (sender, lines) = Streaming::channel(1);
    let mut answers = soon(client.talk(&cx, lines)).await.unwrap();
    sender.send(Ok(line("a"))).await.unwrap();
    assert_eq!(soon(answers.message()).await.unwrap().unwrap().text, "a");
    sender.send(Err(Error::aborted("mine"))).await.unwrap();
    let (_, error) = all(&mut answers).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Aborted, "mine"));
    drop(answers);
    assert_eq!(soon(ends.recv()).await, Some("gone"));
}

pub(crate) async fn the_request_id_goes_through_every_hop(address: Address) {
    let log = Log::start();
    let back = Running::serve(
        &saying(|cx, _| async move { Ok(line(cx.request_id().as_str())) }).with(&StandardStack::default()),
    )
    .await;
    let next = client(&back, address).await;
    let front = Running::serve(
        &saying(move |cx, said| {
            let next = next.clone();
            async move { Ok(line(&format!("{} {}", cx.request_id(), next.say(&cx, said).await?.text))) }
        })
        .with(&StandardStack::default()),
    )
    .await;
    let cx = Context::background();
    let id = cx.request_id().clone();
    let answer = client(&front, address).await.say(&cx, line("")).await.unwrap();
    assert_eq!(answer.text, format!("{id} {id}"));
    let calls = log.wait_for_calls(id.as_str(), 2).await;
    assert!(calls.iter().all(|call| call["method"] == "chat.Chat/Say" && call["code"] == "OK"), "{calls:?}");
}

pub(crate) async fn the_deadline_goes_through_every_hop_and_is_clamped(address: Address) {
    // The answer is what the handlers see, in milliseconds.
    fn left(cx: &Context) -> String {
        cx.remaining().map_or_else(|| "none".to_owned(), |left| left.as_millis().to_string())
    }
    let back = Running::serve(&saying(|cx, _| async move { Ok(line(&left(&cx))) })).await;
    let (direct, next) = (client(&back, address).await, client(&back, address).await);
    let mut config = ServerStackConfig::default();
    config.timeout.unary = Some(Duration::from_secs(3600));
    let front = Running::serve(
        &saying(move |cx, said| {
            let next = next.clone();
            async move { Ok(line(&format!("{} {}", left(&cx), next.say(&cx, said).await?.text))) }
        })
        .with(&StandardStack::server(&config).unwrap()),
    )
    .await;
    let front = client(&front, address).await;
    let millis = async |cx: Context| -> Vec<u128> {
        let answer = front.say(&cx, line("")).await.unwrap().text;
        answer.split(' ').map(|part| part.parse().unwrap()).collect()
    };
    assert_eq!(direct.say(&Context::background(), line("")).await.unwrap().text, "none");
    let hour = 3_600_000;
    for (cx, most) in [
        (Context::background(), hour),
        (Context::background().with_timeout(Duration::from_secs(7200)), hour),
        (Context::background().with_timeout(Duration::from_secs(1800)), hour / 2),
    ] {
        let seen = millis(cx).await;
        // Half an hour is far more than the test takes, and the next hop never has more than this one.
        assert!(seen[0] <= most && seen[0] > most / 2, "{seen:?}");
        assert!(seen[1] <= seen[0] && seen[1] > most / 2, "{seen:?}");
    }
}

/// The client does not wait for a service that never answers, and the service's handler is dropped.
pub(crate) async fn the_deadline_ends_a_call(address: Address) {
    let (told, mut ends) = mpsc::unbounded_channel();
    let server = Running::serve(&saying(move |_, _| {
        let gone = OnDrop(told.clone(), "gone");
        async move {
            let _gone = gone;
            std::future::pending().await
        }
    }))
    .await;
    let cx = Context::background().with_timeout(Duration::from_millis(200));
    let error = soon(client(&server, address).await.say(&cx, line(""))).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(soon(ends.recv()).await, Some("gone"));
}

/// A client that loses interest tells the service, in the middle of a call and of a stream.
pub(crate) async fn hanging_up_is_noticed(address: Address) {
    let log = Log::start();
    let (told, mut ends) = mpsc::unbounded_channel();
    let (told_say, told_count) = (told.clone(), told);
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
        ..counting(move |_, _| {
            let told = told_count.clone();
            async move {
                let (sender, lines) = Streaming::channel(1);
                sender.send(Ok(line("first"))).await?;
                // The sender lives in the stream, so that the stream never ends.
                Ok(lines.hold((sender, OnDrop(told, "gone"))))
            }
        })
    };
    let server = Running::serve(&endpoints.with(&StandardStack::default())).await;
    let (client, cx) = (client(&server, address).await, Context::background());
    let call = tokio::spawn({
        let (client, cx) = (client.clone(), cx.clone());
        async move { client.say(&cx, line("")).await }
    });
    assert_eq!(soon(ends.recv()).await, Some("started"));
    call.abort();
    assert_eq!(soon(ends.recv()).await, Some("gone"));
    let calls = log.wait_for_calls(cx.request_id().as_str(), 1).await;
    assert_eq!((&calls[0]["code"], &calls[0]["method"]), (&"CANCELLED".into(), &"chat.Chat/Say".into()));

    let cx = Context::background();
    let mut lines = soon(client.count(&cx, CountRequest { to: 1 })).await.unwrap();
    assert_eq!(soon(lines.message()).await.unwrap().unwrap().text, "first");
    drop(lines);
    assert_eq!(soon(ends.recv()).await, Some("gone"));
    assert_eq!(log.wait_for_calls(cx.request_id().as_str(), 1).await[0]["code"], "CANCELLED");
}

pub(crate) async fn an_unreachable_service_is_unavailable(address: Address) {
    let server = Running::serve(&room()).await;
    let gone = address(&server);
    server.stopped().await.unwrap();
    let client = ChatClient::new(&Channel::new(&gone).unwrap());
    let error = soon(client.say(&Context::background(), line(""))).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.is_retryable());
    assert!(!error.message().contains("os error"), "{error}");
    assert!(error.to_log().to_string().len() > error.to_string().len(), "the cause is in the log: {}", error.to_log());
}
