//! What stands around methods. Inside the process, so that the clock can be stopped.

use std::{
    panic::panic_any,
    sync::{Arc, Mutex},
    time::Duration,
};

use kit::{
    Code, Context, Endpoint, Error, LayerInfo, Middleware, Payload, Request, Streaming,
    middleware::{ServerStackConfig, StandardStack},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{limit::ConcurrencyLimitLayer, timeout::TimeoutLayer, util::MapRequestLayer};

use crate::{
    calls,
    chat::{
        Room,
        proto::chat::{CHAT_DICTATE, CHAT_TALK, Chat, ChatClient, ChatEndpoints, CountRequest, Line, Summary},
    },
    support::{Log, OnDrop, counting, line, room, saying},
};

/// Writes down which methods were called, each time with its own name.
#[derive(Clone, Default)]
struct Mark(&'static str, Arc<Mutex<Vec<String>>>);

impl Mark {
    fn named(&self, name: &'static str) -> Self {
        Self(name, Arc::clone(&self.1))
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.1.lock().unwrap())
    }
}

impl Middleware for Mark {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        use tower::ServiceExt as _;
        let this = self.clone();
        endpoint.wrap([LayerInfo::new(this.0, Value::Null)], |inner| {
            inner.map_request(move |request: Request<Req>| {
                let name = request.context().method().map(|method| method.name.to_string()).unwrap_or_default();
                this.1.lock().unwrap().push(format!("{}{name}", this.0));
                request
            })
        })
    }
}

async fn call_all(chat: &impl Chat) {
    let cx = Context::background();
    chat.say(&cx, line("a")).await.unwrap();
    calls::all(&mut chat.count(&cx, CountRequest { to: 1 }).await.unwrap()).await.unwrap();
    chat.dictate(&cx, Streaming::from_iter([line("a")])).await.unwrap();
    calls::all(&mut chat.talk(&cx, Streaming::from_iter([line("a")])).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn around_all_some_or_one() {
    let mark = Mark::default();
    call_all(&room().with(&mark)).await;
    assert_eq!(mark.taken(), ["Say", "Count", "Dictate", "Talk"]);
    call_all(&room().with(&mark.clone().only(["Say", "chat.Chat/Talk"]))).await;
    assert_eq!(mark.taken(), ["Say", "Talk"]);
    call_all(&room().with(&mark.clone().except(["Say", "chat.Chat/Talk", "Unknown"]))).await;
    assert_eq!(mark.taken(), ["Count", "Dictate"]);
    let mut one = room();
    one.count = one.count.with(&mark);
    call_all(&one).await;
    assert_eq!(mark.taken(), ["Count"]);
    // The last one put around is the outermost; of a pair it is the first. One that is switched off is not there.
    call_all(&room().with(&mark.named("in ").only(["Say"])).with(&mark.named("out ").only(["Say"]))).await;
    assert_eq!(mark.taken(), ["out Say", "in Say"]);
    let pair = room().with(&(mark.named("1 "), mark.named("2 ")).only(["Say"]));
    call_all(&pair).await;
    assert_eq!(mark.taken(), ["1 Say", "2 Say"]);
    let names: Vec<_> = pair.say.layers().iter().map(LayerInfo::name).collect();
    assert_eq!(names, ["1 ", "2 "], "what stands inside is still known");
    call_all(&room().with(&(Some(mark.named("on ").only(["Say"])), None::<Mark>)).with(&())).await;
    assert_eq!(mark.taken(), ["on Say"]);
}

/// Endpoints are a way to a service like any other: a client of endpoints inside the process.
#[tokio::test]
async fn a_client_takes_middleware_too() {
    let server = crate::support::Running::serve(&room()).await;
    let mark = Mark::default();
    let client =
        ChatClient::new(&kit::client::Channel::new(&server.grpc_url()).unwrap()).with(&mark.clone().only(["Say"]));
    call_all(&client).await;
    assert_eq!(mark.taken(), ["Say"]);
}

#[tokio::test(start_paused = true)]
async fn plain_tower_layers_fit() {
    // Around one endpoint: its error becomes the kit's.
    let mut slow = saying(|_, _| std::future::pending());
    slow.say = slow.say.layer(TimeoutLayer::new(Duration::from_secs(1)));
    let error = slow.say(&Context::background(), line("")).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{}", error.to_log());
    // Around all: one that fits the messages of each.
    let limited = room().layer(ConcurrencyLimitLayer::new(1));
    call_all(&limited).await;
}

/// Around the trait: it knows the messages.
struct Loud<S>(S);

impl<S: Chat> Chat for Loud<S> {
    async fn say(&self, cx: &Context, said: Line) -> Result<Line, Error> {
        Ok(line(&format!("{}!", self.0.say(cx, said).await?.text)))
    }
    async fn count(&self, cx: &Context, request: CountRequest) -> Result<Streaming<Line>, Error> {
        Ok(self.0.count(cx, request).await?.and_then(|number| Ok(line(&format!("{}!", number.text)))))
    }
    async fn dictate(&self, cx: &Context, lines: Streaming<Line>) -> Result<Summary, Error> {
        self.0.dictate(cx, lines).await
    }
    async fn talk(&self, cx: &Context, lines: Streaming<Line>) -> Result<Streaming<Line>, Error> {
        self.0.talk(cx, lines).await
    }
}

#[tokio::test]
async fn a_wrapper_of_the_trait_wraps_all_forms_of_the_service() {
    let cx = Context::background();
    assert_eq!(Loud(Room).say(&cx, line("a")).await.unwrap().text, "A!");
    let endpoints = ChatEndpoints::new(Loud(Loud(room())));
    assert_eq!(endpoints.say(&cx, line("a")).await.unwrap().text, "A!!");
    let mut numbers = endpoints.count(&cx, CountRequest { to: 2 }).await.unwrap();
    assert_eq!(calls::all(&mut numbers).await.unwrap(), ["1!!", "2!!"]);
    call_all(&endpoints).await;
}

fn standard() -> StandardStack {
    StandardStack::default()
}

/// A `Say` that takes a minute, and says on the way how long it might.
fn a_minute() -> ChatEndpoints {
    saying(|cx, _| async move {
        let left = cx.remaining();
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(line(&format!("{left:?}")))
    })
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_earlier_one() {
    // Ten seconds are the default.
    for (caller, limit) in [(None, 10), (Some(3), 3), (Some(600), 10)] {
        let mut cx = Context::background();
        if let Some(seconds) = caller {
            cx = cx.with_timeout(Duration::from_secs(seconds));
        }
        let start = Instant::now();
        let error = a_minute().with(&standard()).say(&cx, line("")).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
        assert_eq!(start.elapsed().as_secs(), limit, "{caller:?}");
    }
    // By method, and none at all.
    let mut config = ServerStackConfig::default();
    config = config.with_method("chat.Chat/Say", json!({ "timeout": "61s" }));
    let endpoints = a_minute().with(&StandardStack::server(&config).unwrap());
    assert_eq!(endpoints.say(&Context::background(), line("")).await.unwrap().text, "Some(61s)");
    config = config
        .with_method("Say", json!({ "timeout": "1s" }))
        .with_method("chat.Chat/Say", json!({ "timeout": "none" }));
    let endpoints = a_minute().with(&StandardStack::server(&config).unwrap());
    assert_eq!(endpoints.say(&Context::background(), line("")).await.unwrap().text, "None");
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_clamped_deadline() {
    let endpoints = saying(|cx, _| async move { Ok(line(&format!("{:?}", cx.remaining()))) }).with(&standard());
    for (caller, seen) in [(600, "Some(10s)"), (4, "Some(4s)")] {
        let cx = Context::background().with_timeout(Duration::from_secs(caller));
        assert_eq!(endpoints.say(&cx, line("")).await.unwrap().text, seen);
    }
    assert_eq!(endpoints.say(&Context::background(), line("")).await.unwrap().text, "Some(10s)");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_started() {
    let mark = Mark::default();
    let endpoints = room().with(&mark).with(&standard());
    let cx = Context::background().with_timeout(Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(endpoints.say(&cx, line("")).await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(endpoints.count(&cx, CountRequest { to: 1 }).await.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(mark.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_ended_in_its_middle() {
    let (told, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let slow = counting(move |_, _| {
        let gone = OnDrop(told.clone(), "gone");
        async move {
            let lines = tokio_stream::StreamExt::then(tokio_stream::iter(1..), |n: i32| async move {
                tokio::time::sleep(Duration::from_secs(4)).await;
                Ok(line(&n.to_string()))
            });
            Ok(Streaming::new(lines).hold(gone))
        }
    });
    let endpoints = slow.with(&standard());
    let cx = Context::background().with_timeout(Duration::from_secs(9));
    let mut lines = endpoints.count(&cx, CountRequest { to: 0 }).await.unwrap();
    // The time that the reader takes counts, too; and `calls::all` has a clock of its own, so it is not used here.
    let mut texts = Vec::new();
    let error = loop {
        match lines.message().await {
            Ok(Some(line)) => texts.push(line.text),
            Ok(None) => panic!("ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!((texts, error.code()), (vec!["1".to_owned(), "2".to_owned()], Code::DeadlineExceeded));
    assert_eq!(ends.recv().await, Some("gone"), "what makes the messages is dropped with the stream");
    // Without a caller's deadline a stream goes on: far past the limit of unary calls.
    let mut lines = endpoints.count(&Context::background(), CountRequest { to: 0 }).await.unwrap();
    for _ in 0..100 {
        lines.message().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_panic_becomes_internal_and_is_logged_with_its_place() {
    let log = Log::start();
    let endpoints = ChatEndpoints {
        count: counting(|_, _| async {
            let lines = (1..=3).map(|n| if n == 3 { panic!("in the stream, {n}") } else { line(&n.to_string()) });
            Ok(Streaming::from_iter(lines))
        })
        .count,
        dictate: Endpoint::from_fn(CHAT_DICTATE.clone(), |_, _| async { panic_any(7) }),
        // Not in the future but on the way to it.
        talk: Endpoint::from_fn(CHAT_TALK.clone(), |_, _| -> std::future::Ready<Result<Streaming<Line>, Error>> {
            panic!("before the future")
        }),
        ..saying(|_, said| async move { panic!("SECRET {}", said.text) })
    }
    .with(&standard());
    let cx = Context::background;
    let check = |cx: &Context, error: Error, text: &str| {
        assert_eq!(error.code(), Code::Internal);
        assert!(!error.message().contains("SECRET"), "{error}");
        let lines = log.of(cx.request_id().as_str());
        let panic = lines.iter().find(|line| line["message"] == "a handler panicked").unwrap();
        assert_eq!((&panic["level"], &panic["panic"]), (&"ERROR".into(), &text.into()));
        let place = panic["place"].as_str().unwrap();
        assert!(place.contains("middleware.rs:"), "{place}");
        let backtrace = panic["backtrace"].as_str().unwrap();
        assert!(backtrace.contains("integration::middleware"), "{backtrace}");
        let calls = log.calls(cx.request_id().as_str());
        assert_eq!((calls.len(), &calls[0]["code"], &calls[0]["level"]), (1, &"INTERNAL".into(), &"ERROR".into()));
        assert!(calls[0]["error"].as_str().unwrap().contains(place), "{}", calls[0]);
    };
    let call = cx();
    check(&call, endpoints.say(&call, line("a")).await.unwrap_err(), "SECRET a");
    let call = cx();
    let (before, error) =
        calls::all(&mut endpoints.count(&call, CountRequest { to: 3 }).await.unwrap()).await.unwrap_err();
    assert_eq!(before, ["1", "2"]);
    check(&call, error, "in the stream, 3");
    let call = cx();
    check(&call, endpoints.talk(&call, Streaming::from_iter([])).await.unwrap_err(), "before the future");
    let call = cx();
    check(&call, endpoints.dictate(&call, Streaming::from_iter([])).await.unwrap_err(), "a panic without a text");
}

/// A panic that nobody recovers goes to the hook that was there before, and is not taken for one of ours.
#[tokio::test]
async fn other_panics_are_left_alone() {
    let endpoints = saying(|_, _| async {
        let other = tokio::spawn(async { panic!("elsewhere") }).await;
        Err(Error::aborted(other.unwrap_err().is_panic().to_string()))
    });
    let error = endpoints.with(&standard()).say(&Context::background(), line("")).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Aborted, "true"));
}

#[tokio::test]
async fn one_line_a_call() {
    let log = Log::start();
    let endpoints = counting(|_, request| async move {
        match request.to {
            0 => Err(Error::unavailable("closed").with_log("SECRET")),
            _ => Ok(Streaming::new(tokio_stream::iter([Ok(line("1")), Err(Error::invalid_argument("no more"))]))),
        }
    });
    let endpoints = ChatEndpoints {
        say: saying(|_, said| async move {
            tracing::info!(text = said.text, "inside");
            if said.text == "wait" {
                std::future::pending::<()>().await;
            }
            Ok(said)
        })
        .say,
        ..endpoints
    }
    .with(&standard());
    let line_of = |cx: &Context| {
        let mut calls = log.calls(cx.request_id().as_str());
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    };

    let cx = Context::background();
    endpoints.say(&cx, line("a")).await.unwrap();
    let logged = line_of(&cx);
    for (field, value) in
        [("code", "OK"), ("level", "INFO"), ("method", "chat.Chat/Say"), ("transport", "local"), ("peer", "-")]
    {
        assert_eq!(logged[field], value, "{logged}");
    }
    assert!(logged["duration_ms"].as_f64().unwrap() >= 0.0);
    // What the handler logged has the ids, too.
    let lines = log.of(cx.request_id().as_str());
    assert_eq!(
        (lines.len(), &lines[0]["message"], &lines[0]["method"]),
        (2, &"inside".into(), &"chat.Chat/Say".into())
    );

    // Dropped: cancelled.
    let cx = Context::background();
    {
        let mut call = std::pin::pin!(endpoints.say(&cx, line("wait")));
        assert!(futures_util::poll!(call.as_mut()).is_pending());
        assert!(log.calls(cx.request_id().as_str()).is_empty());
    }
    assert_eq!(line_of(&cx)["code"], "CANCELLED");
    assert_eq!(line_of(&cx)["level"], "INFO");

    // A stream: at its end, with what it ended with.
    let cx = Context::background();
    let mut lines = endpoints.count(&cx, CountRequest { to: 1 }).await.unwrap();
    lines.message().await.unwrap().unwrap();
    assert!(log.calls(cx.request_id().as_str()).is_empty(), "it has not ended");
    lines.message().await.unwrap_err();
    assert_eq!(line_of(&cx)["code"], "INVALID_ARGUMENT");
    drop(lines);
    assert_eq!(line_of(&cx)["code"], "INVALID_ARGUMENT");

    // Refused before it began; what is for the log alone is in the log.
    let cx = Context::background();
    endpoints.count(&cx, CountRequest { to: 0 }).await.unwrap_err();
    let logged = line_of(&cx);
    assert_eq!((&logged["code"], &logged["level"]), (&"UNAVAILABLE".into(), &"WARN".into()));
    assert!(logged["error"].as_str().unwrap().contains("SECRET"));

    // A stream that is dropped before its end.
    let cx = Context::background();
    let lines = endpoints.count(&cx, CountRequest { to: 1 }).await.unwrap();
    drop(lines);
    assert_eq!(line_of(&cx)["code"], "CANCELLED");
}

/// Lines that are logged while a stream makes its messages, and by a task that was given the ids.
#[tokio::test]
async fn every_line_inside_a_call_has_its_id() {
    let log = Log::start();
    let endpoints = counting(|cx, _| async move {
        let ids = kit::endpoint::current::Ids::from(&cx);
        tokio::spawn(kit::endpoint::current::scope(ids, async { tracing::info!("from a task") })).await.unwrap();
        Ok(Streaming::from_iter((1..=2).map(|n| {
            tracing::info!(n, "a message");
            line(&n.to_string())
        })))
    })
    .with(&standard());
    let cx = Context::background();
    calls::all(&mut endpoints.count(&cx, CountRequest { to: 2 }).await.unwrap()).await.unwrap();
    let messages: Vec<_> = log.of(cx.request_id().as_str()).iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["from a task", "a message", "a message", "call"]);
}

/// What a middleware leaves in the context is there for those behind it.
#[tokio::test]
async fn extensions_go_inwards() {
    #[derive(Clone)]
    struct User(&'static str);
    struct Login;
    impl Middleware for Login {
        fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
            endpoint.layer(MapRequestLayer::new(|mut request: Request<Req>| {
                request.context_mut().set_extension(User("wu"));
                request
            }))
        }
    }
    let endpoints = saying(|cx, _| async move { Ok(line(cx.extension::<User>().map_or("nobody", |user| user.0))) });
    let cx = Context::background();
    assert_eq!(endpoints.say(&cx, line("")).await.unwrap().text, "nobody");
    assert_eq!(endpoints.with(&Login).say(&cx, line("")).await.unwrap().text, "wu");
}
