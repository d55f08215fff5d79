//! Retries and hedges over real sockets: what travels with attempts, and what services say to those who come again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kit::{
    Context, Error, Metadata,
    client::Channel,
    layer::{
        hedge::{Hedge, HedgeConfig},
        retry::{Retry, RetryConfig},
    },
};
use tokio::sync::mpsc;

use crate::{
    calls::Address,
    chat::proto::chat::{Chat, ChatClient, ChatEndpoints},
    support::{OnDrop, Running, line, room, saying, soon},
};

const TRANSPORTS: [Address; 2] = [Running::grpc_url, Running::http_url];

/// Without chance, and soon: the tests wait for real.
fn retry(config: RetryConfig) -> Retry {
    Retry::new(&config).unwrap().with_random(|| 0.0)
}

fn client(server: &Running, address: Address) -> ChatClient {
    ChatClient::new(&Channel::new(&address(server)).unwrap())
}

#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<Vec<u32>>>);

impl Attempts {
    fn note(&self, cx: &Context) -> usize {
        let mut seen = self.0.lock().unwrap();
        seen.push(cx.previous_attempts());
        seen.len()
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A service that always fails, and notes the attempts.
fn failing(attempts: &Attempts, error: fn() -> Error) -> ChatEndpoints {
    let attempts = attempts.clone();
    saying(move |cx, _| {
        attempts.note(&cx);
        async move { Err(error()) }
    })
}

#[tokio::test]
async fn a_service_sees_which_attempt_it_serves_and_does_not_repeat_its_own_calls() {
    for address in TRANSPORTS {
        let (front_attempts, back_attempts) = (Attempts::default(), Attempts::default());
        let back = Running::serve(&failing(&back_attempts, || Error::unavailable("busy"))).await;
        let may = RetryConfig::default().with_method("Say");
        let next = client(&back, address).with(&retry(may.clone()));
        let seen = front_attempts.clone();
        let front = Running::serve(&saying(move |cx, said| {
            seen.note(&cx);
            let next = next.clone();
            async move { next.say(&cx, said).await }
        }))
        .await;
        let client = client(&front, address).with(&retry(may));
        soon(client.say(&Context::background(), line("a"))).await.unwrap_err();
        assert_eq!(front_attempts.take(), [0, 1, 2]);
        assert_eq!(back_attempts.take(), [0, 1, 2, 1, 2]);
    }
}

#[tokio::test]
async fn what_a_service_says_about_coming_again_is_obeyed() {
    fn pushed_back() -> Error {
        let mut metadata = Metadata::new();
        metadata.insert("grpc-retry-pushback-ms", "-1").unwrap();
        Error::unavailable("go away").with_metadata(metadata)
    }
    fn refused() -> Error {
        Error::resource_exhausted("slow down").with_retry_delay(Duration::from_millis(1))
    }
    fn refused_for_long() -> Error {
        Error::resource_exhausted("slow down").with_retry_delay(Duration::from_secs(3600))
    }
    fn busy() -> Error {
        Error::unavailable("busy")
    }
    type Case = (fn() -> Error, bool, usize);
    let cases: [Case; 6] = [
        (pushed_back, true, 1),
        (refused, true, 3),
        (refused, false, 1),
        (refused_for_long, true, 1),
        (busy, true, 3),
        (busy, false, 1),
    ];
    for address in TRANSPORTS {
        for (error, may, times) in cases {
            let attempts = Attempts::default();
            let server = Running::serve(&failing(&attempts, error)).await;
            let config = RetryConfig::default();
            let client = client(&server, address).with(&retry(if may { config.with_method("Say") } else { config }));
            soon(client.say(&Context::background(), line("a"))).await.unwrap_err();
            assert_eq!(attempts.take().len(), times, "{}", error());
        }
    }
}

/// Nobody knows whether `Say` may be called twice; a call that did not get through may.
#[tokio::test]
async fn a_call_that_found_no_connection_is_made_again() {
    for address in TRANSPORTS {
        let server = Running::serve(&room()).await;
        let client = client(&server, address).with(&retry(RetryConfig::default()));
        server.stopped().await.unwrap();
        let error = soon(client.say(&Context::background(), line("a"))).await.unwrap_err();
        assert!(error.is_unprocessed(), "{}", error.to_log());
        assert!(error.to_log().to_string().contains("3 attempts"), "{}", error.to_log());
    }
}

/// The request that lost is cancelled at the service that works on it.
#[tokio::test]
async fn the_loser_of_a_race_is_cancelled_at_its_service() {
    for address in TRANSPORTS {
        let (told, mut dropped) = mpsc::unbounded_channel();
        let count = Arc::new(AtomicU32::new(0));
        let served = Arc::clone(&count);
        let server = Running::serve(&saying(move |cx, said| {
            served.fetch_add(1, Ordering::Relaxed);
            let stuck = (cx.previous_attempts() == 0).then(|| OnDrop(told.clone(), "first"));
            async move {
                if stuck.is_some() {
                    std::future::pending::<()>().await;
                }
                Ok(said)
            }
        }))
        .await;
        let config = HedgeConfig { delay: Some(Duration::from_millis(1)), ..HedgeConfig::default() };
        let client = client(&server, address).with(&Hedge::new(&config.with_method("Say")).unwrap());
        assert_eq!(soon(client.say(&Context::background(), line("a"))).await.unwrap().text, "a");
        assert_eq!(soon(dropped.recv()).await, Some("first"));
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
