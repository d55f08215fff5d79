//! Breaker and throttle over real sockets: what a caller sees of a refusal.

use std::{sync::Arc, time::Duration};

use kit::{
    Code, Context,
    client::Channel,
    layer::{
        breaker::{Breaker, BreakerConfig, BreakerState},
        throttle::{Throttle, ThrottleConfig},
    },
};
use tokio::sync::Notify;

use crate::{
    chat::proto::chat::{Chat, ChatClient, ChatEndpoints},
    support::{Running, line, saying, soon},
};

fn guarded(chat: ChatEndpoints, breaker: &Breaker) -> ChatEndpoints {
    chat.with(breaker)
}

/// A service whose breaker is open says so by gRPC and by HTTP, and when to come back.
#[tokio::test]
async fn an_open_breaker_is_seen_through_both_transports() {
    let breaker = Breaker::new(&BreakerConfig::default()).unwrap();
    breaker.force_open();
    let server = Running::serve(&guarded(saying(|_, said| async move { Ok(said) }), &breaker)).await;
    for url in [server.grpc_url(), server.http_url()] {
        let chat = ChatClient::new(&Channel::new(&url).unwrap());
        let refused = soon(chat.say(&Context::background(), line("a"))).await.unwrap_err();
        assert_eq!((refused.code(), &*refused.reason().unwrap().reason), (Code::Unavailable, "BREAKER_OPEN"), "{url}");
        assert_eq!(refused.retry_delay(), Some(Duration::from_secs(5)), "{url}");
        assert!(refused.is_fault(), "to the one who called over the network the service is away");
    }
    breaker.release();
    let chat = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    soon(chat.say(&Context::background(), line("a"))).await.unwrap();
}

/// Above the ceiling the seed's demo says `too many connections`, and goes on.
#[tokio::test]
async fn a_full_breaker_refuses_and_stays_closed() {
    let config = BreakerConfig {
        max_in_flight: Some(1),
        code: Code::ResourceExhausted,
        message: Some("too many connections".to_owned()),
        ..BreakerConfig::default()
    };
    let breaker = Breaker::new(&config).unwrap();
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, waits) = (Arc::clone(&begun), Arc::clone(&go));
    let chat = saying(move |_, said| {
        let (tells, waits) = (Arc::clone(&tells), Arc::clone(&waits));
        async move {
            tells.notify_one();
            waits.notified().await;
            Ok(said)
        }
    });
    let server = Running::serve(&guarded(chat, &breaker)).await;
    let url = server.grpc_url();
    let first = tokio::spawn(async move {
        let chat = ChatClient::new(&Channel::new(&url).unwrap());
        chat.say(&Context::background(), line("a")).await
    });
    soon(begun.notified()).await;
    for url in [server.grpc_url(), server.http_url()] {
        let chat = ChatClient::new(&Channel::new(&url).unwrap());
        let refused = soon(chat.say(&Context::background(), line("b"))).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "too many connections"), "{url}");
    }
    go.notify_one();
    assert_eq!(soon(first).await.unwrap().unwrap().text, "a");
    assert_eq!((breaker.state(), breaker.figures().in_flight), (BreakerState::Closed, 0));
}

/// A client that loses its service stops calling it; when there is one again, a probe finds it.
#[tokio::test]
async fn a_client_guards_itself_against_a_service_that_is_gone() {
    let config = BreakerConfig {
        min_calls: 3,
        open_for: Duration::from_millis(1),
        probes: 1,
        successes: 1,
        ..BreakerConfig::default()
    };
    let breaker = Breaker::new(&config).unwrap();
    let throttle = Throttle::with_seed(&ThrottleConfig::default(), 1).unwrap();
    let server = Running::serve(&saying(|_, said| async move { Ok(said) })).await;
    let url = server.grpc_url();
    server.stopped().await.unwrap();
    let chat = ChatClient::new(&Channel::new(&url).unwrap()).with(&throttle).with(&breaker);
    let mut opened = false;
    for _ in 0..100 {
        let error = soon(chat.say(&Context::background(), line("a"))).await.unwrap_err();
        opened |= error.reason().is_some_and(|reason| reason.reason == "BREAKER_OPEN");
        if opened {
            break;
        }
    }
    assert!(opened, "{breaker:?}");
    assert_eq!(throttle.figures().accepts, 0);
}
