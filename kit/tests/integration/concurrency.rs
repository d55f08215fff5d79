//! Concurrency limits over real sockets: what a caller gets, by gRPC and by HTTP, and that nothing is left behind.

use std::sync::Arc;

use kit::{
    Class, Code, Context, Error,
    layer::{
        adaptive::{
            Adaptive, AdaptiveConfig,
            bbr::{Bbr, BbrConfig, CpuSource},
        },
        concurrency::{Concurrency, ConcurrencyConfig},
    },
};
use tokio::sync::Semaphore;

use crate::{
    chat::proto::chat::{Chat, ChatClient, ChatEndpoints, CountRequest},
    support::{OnDrop, Running, line, saying, soon},
};

/// A `Say` that tells when it began, and answers when it may.
fn slow(began: &Arc<Semaphore>, go: &Arc<Semaphore>) -> ChatEndpoints {
    let (began, go) = (Arc::clone(began), Arc::clone(go));
    saying(move |_, said| {
        let (began, go) = (Arc::clone(&began), Arc::clone(&go));
        async move {
            began.add_permits(1);
            go.acquire().await.unwrap().forget();
            Ok(said)
        }
    })
}

fn client(server: &Running) -> ChatClient {
    ChatClient::new(&kit::client::Channel::new(&server.grpc_url()).unwrap())
}

#[tokio::test]
async fn what_is_too_much_is_told_by_both_transports() {
    let (began, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let limit = Concurrency::new(&ConcurrencyConfig::shed_above(1)).unwrap();
    let server = Running::serve(&slow(&began, &go).with(&limit)).await;
    let grpc = client(&server);
    let first = tokio::spawn({
        let grpc = grpc.clone();
        async move { grpc.say(&Context::background(), line("a")).await }
    });
    soon(began.acquire()).await.unwrap().forget();

    let error = grpc.say(&Context::background(), line("b")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class(), error.message()),
        (Code::ResourceExhausted, Class::Rejected, "too many calls at once")
    );
    assert_eq!(error.retry_delay(), Some(std::time::Duration::from_secs(1)));
    assert_eq!(error.reason().unwrap().reason, "CONCURRENCY_LIMIT");

    let http = ChatClient::new(&kit::client::Channel::new(&server.http_url()).unwrap());
    let error = http.say(&Context::background(), line("c")).await.unwrap_err();
    assert_eq!((error.code(), error.reason().unwrap().reason.as_str()), (Code::ResourceExhausted, "CONCURRENCY_LIMIT"));
    assert_eq!(error.retry_delay(), Some(std::time::Duration::from_secs(1)));

    go.add_permits(1);
    assert_eq!(soon(first).await.unwrap().unwrap().text, "a");
    go.add_permits(1);
    grpc.say(&Context::background(), line("d")).await.unwrap();
    assert_eq!(limit.figures().in_flight, 0);
}

/// A caller that goes away, waiting or served, leaves its place and its permit.
#[tokio::test]
async fn callers_that_go_away_leave_nothing_behind() {
    let (began, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let queue_timeout = std::time::Duration::from_secs(60);
    let limit = Concurrency::new(&ConcurrencyConfig { max: 1, queue_timeout, ..ConcurrencyConfig::default() }).unwrap();
    let server = Running::serve(&slow(&began, &go).with(&limit)).await;
    let grpc = client(&server);
    let call = |text: &'static str| {
        let grpc = grpc.clone();
        tokio::spawn(async move { grpc.say(&Context::background(), line(text)).await })
    };
    let served = call("a");
    soon(began.acquire()).await.unwrap().forget();
    let waiting = call("b");
    soon(async {
        while limit.figures().queued == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    waiting.abort();
    soon(async {
        while limit.figures().queued > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    served.abort();
    // Only a permit that came back lets this one begin.
    let last = call("c");
    soon(began.acquire()).await.unwrap().forget();
    go.add_permits(1);
    assert_eq!(soon(last).await.unwrap().unwrap().text, "c");
}

/// The permit of a stream is given back when it ends, also by a reader that leaves.
#[tokio::test]
async fn a_stream_holds_its_permit() {
    let limit = Concurrency::new(&ConcurrencyConfig::shed_above(1)).unwrap();
    let (told, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let counting = crate::support::counting(move |_, _| {
        let gone = OnDrop(told.clone(), "gone");
        async move { Ok(kit::Streaming::new(tokio_stream::pending()).hold(gone)) }
    });
    let server = Running::serve(&counting.with(&limit)).await;
    let grpc = client(&server);
    let lines = grpc.count(&Context::background(), CountRequest { to: 1 }).await.unwrap();
    let error = grpc.say(&Context::background(), line("a")).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    drop(lines);
    assert_eq!(soon(ends.recv()).await, Some("gone"));
    soon(async {
        while grpc.say(&Context::background(), line("a")).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// On the side that calls: the same layer around a client.
#[tokio::test]
async fn a_client_limits_what_it_sends() {
    let (began, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let server = Running::serve(&slow(&began, &go)).await;
    let config = AdaptiveConfig { min: 1, max: 1, initial: 1, queue: 0, ..AdaptiveConfig::default() };
    let limit = Adaptive::new(&config).unwrap();
    let grpc = client(&server).with(&limit);
    let first = tokio::spawn({
        let grpc = grpc.clone();
        async move { grpc.say(&Context::background(), line("a")).await }
    });
    soon(began.acquire()).await.unwrap().forget();
    assert_eq!(grpc.say(&Context::background(), line("b")).await.unwrap_err().code(), Code::ResourceExhausted);
    go.add_permits(1);
    soon(first).await.unwrap().unwrap();
    assert_eq!(limit.figures().in_flight, 0);
}

struct Busy;

impl CpuSource for Busy {
    fn usage(&mut self, _: std::time::Duration) -> Option<f64> {
        Some(1.0)
    }
}

/// While the processors are busy, a call is refused that would only wait for others.
#[tokio::test]
async fn an_overloaded_system_refuses_what_is_too_much() {
    let config = BbrConfig { decay: 0.0, min_in_flight: 1, ..BbrConfig::default() };
    let bbr = Bbr::with_cpu(&config, Busy).unwrap();
    let (began, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(1)));
    let server = Running::serve(&slow(&began, &go).with(&bbr)).await;
    let grpc = client(&server);
    grpc.say(&Context::background(), line("a")).await.unwrap();
    // One call in a part of the window: there is room for one.
    soon(async {
        while bbr.figures().capacity.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    began.acquire().await.unwrap().forget();
    let running = tokio::spawn({
        let grpc = grpc.clone();
        async move { grpc.say(&Context::background(), line("b")).await }
    });
    soon(began.acquire()).await.unwrap().forget();
    let error: Error = grpc.say(&Context::background(), line("c")).await.unwrap_err();
    assert_eq!((error.code(), error.reason().unwrap().reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    go.add_permits(1);
    soon(running).await.unwrap().unwrap();
}
