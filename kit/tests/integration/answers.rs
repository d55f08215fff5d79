//! Answers that were not made for the call that gets them, over real sockets: fallbacks, shared calls, kept answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kit::{
    Context, Endpoints as _, Error, Request, Response,
    client::Channel,
    layer::{
        fallback::{DEGRADED, Fallback},
        response_cache::{ResponseCache, ResponseCacheConfig},
        single_flight::{SingleFlight, SingleFlightConfig},
    },
};
use tokio::sync::Semaphore;

use crate::{
    calls::Address,
    chat::proto::chat::{ChatEndpoints, Line},
    support::{Running, line, room, saying, soon},
};

const TRANSPORTS: [Address; 2] = [Running::grpc_url, Running::http_url];

fn client(server: &Running, address: Address) -> ChatEndpoints {
    ChatEndpoints::connect(&Channel::new(&address(server)).unwrap())
}

async fn say(endpoints: &ChatEndpoints, cx: &Context, text: &str) -> Result<Response<Line>, Error> {
    soon(endpoints.say.call(Request::new(cx.next(endpoints.say.method()), line(text)))).await
}

#[tokio::test]
async fn a_client_whose_service_is_gone_answers_by_its_fallback() {
    for address in TRANSPORTS {
        let server = Running::serve(&room()).await;
        let mut client = client(&server, address);
        let fallback = Fallback::to_fn(|_, said: Line, error: Error| async move {
            Ok(line(&format!("{} without the service: {}", said.text, error.code())))
        });
        client.say = fallback.around(client.say);
        let cx = Context::background().with_timeout(Duration::from_secs(30));
        let answer = say(&client, &cx, "a").await.unwrap();
        assert_eq!((answer.message().text.as_str(), answer.metadata().get(DEGRADED)), ("A", None));
        server.stopped().await.unwrap();
        let answer = say(&client, &cx, "a").await.unwrap();
        assert_eq!(answer.message().text, "a without the service: UNAVAILABLE");
        assert_eq!(answer.metadata().get(DEGRADED), Some("fallback"));
    }
}

#[tokio::test]
async fn a_caller_is_told_that_the_answer_of_a_service_is_degraded() {
    let mut endpoints = saying(|_, _| async { Err(Error::unavailable("the database is away")) });
    endpoints.say = Fallback::to_value(line("nothing yet")).around(endpoints.say);
    let server = Running::serve(&endpoints).await;
    for address in TRANSPORTS {
        let answer = say(&client(&server, address), &Context::background(), "a").await.unwrap();
        assert_eq!(answer.message().text, "nothing yet");
        assert_eq!(answer.metadata().get(DEGRADED), Some("fallback"));
    }
}

#[tokio::test]
async fn callers_of_both_transports_share_one_call() {
    let (made, may_answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, gate) = (Arc::clone(&made), Arc::clone(&may_answer));
    let endpoints = saying(move |_, said: Line| {
        counted.fetch_add(1, Ordering::Relaxed);
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.map_err(|_| Error::internal("closed"))?.forget();
            Ok(line(&said.text.to_uppercase()))
        }
    });
    let single_flight = SingleFlight::new(&SingleFlightConfig::default().with_method("Say")).unwrap();
    let endpoints = endpoints.with(&single_flight);
    let say_layer = endpoints.say.layers()[0].clone();
    let waiting = || say_layer.state().unwrap()["waiting"].as_u64().unwrap();
    let server = Running::serve(&endpoints).await;

    let mut calls = Vec::new();
    for address in TRANSPORTS {
        for _ in 0..3 {
            let client = client(&server, address);
            calls.push(tokio::spawn(async move { say(&client, &Context::background(), "a").await }));
        }
    }
    let until = async |count| {
        while waiting() != count {
            tokio::task::yield_now().await
        }
    };
    soon(until(6)).await;
    // One caller hangs up, whichever it is: the others are answered.
    calls.remove(0).abort();
    soon(until(5)).await;
    may_answer.add_permits(1);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().into_message().text, "A");
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn answers_are_kept_for_callers_of_both_transports() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let endpoints = saying(move |cx: Context, said: Line| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            cx.set_response_metadata("x-number", &number.to_string())?;
            cx.set_response_metadata("set-cookie", "session=1")?;
            Ok(line(&format!("{} {number}", said.text)))
        }
    });
    let config = ResponseCacheConfig::default().with_method("Say", Duration::from_secs(3600));
    let server = Running::serve(&endpoints.with(&ResponseCache::new(&config).unwrap())).await;
    let plain = Context::background();
    let first = say(&client(&server, TRANSPORTS[0]), &plain, "a").await.unwrap();
    assert_eq!(first.metadata().get("set-cookie"), Some("session=1"));
    for address in TRANSPORTS {
        let client = client(&server, address);
        let kept = say(&client, &plain, "a").await.unwrap();
        assert_eq!((kept.message().text.as_str(), kept.metadata().get("x-number")), ("a 0", Some("0")));
        assert!(kept.metadata().get("age").is_some(), "{:?}", kept.metadata());
        assert_eq!(kept.metadata().get("set-cookie"), None);
    }
    for (number, address) in TRANSPORTS.into_iter().enumerate() {
        let client = client(&server, address);
        let refreshed = plain.clone().with_outgoing("cache-control", "no-cache").unwrap();
        let text = format!("a {}", number + 1);
        assert_eq!(say(&client, &refreshed, "a").await.unwrap().into_message().text, text);
        assert_eq!(say(&client, &plain, "a").await.unwrap().into_message().text, text);
    }
    // Another caller has its own.
    let other = plain.with_outgoing("authorization", "Bearer other").unwrap();
    for address in TRANSPORTS {
        assert_eq!(say(&client(&server, address), &other, "a").await.unwrap().into_message().text, "a 3");
    }
}
