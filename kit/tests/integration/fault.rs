//! Faults on purpose, over real sockets.

use kit::{
    Code, Context,
    client::Channel,
    layer::{
        breaker::{Breaker, BreakerConfig, BreakerLayer},
        fault::{AbortConfig, Fault, FaultConfig},
    },
};
use tower::Layer as _;

use crate::{
    chat::proto::chat::{CHAT_COUNT, CHAT_SAY, Chat, ChatClient, CountRequest},
    support::{Log, Running, line, post, request, room},
};

fn headers() -> FaultConfig {
    FaultConfig { headers: true, ..FaultConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_caller_asks_for_a_fault_over_http_and_grpc() {
    let fault = Fault::new(&headers()).unwrap();
    let server = Running::serve(&room().with(&fault)).await;
    let say = async |header: &str| {
        let headers = ["content-type: application/json", header];
        request(server.http, "POST", "/v1/say", &headers, br#"{"text":"a"}"#).await
    };
    assert_eq!(say("x-other: a").await.status, 200);
    let answer = say("x-fault-abort: RESOURCE_EXHAUSTED").await;
    assert_eq!((answer.status, &answer.json()["message"]), (429, &"fault injected".into()));
    assert!(answer.text().contains("FAULT_INJECTED"), "{}", answer.text());
    assert_eq!(say("x-fault-delay: 1ms").await.status, 200);
    assert_eq!(say("x-fault-delay: soon").await.status, 400);

    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let cx = Context::background().with_outgoing("x-fault-abort", "DATA_LOSS").unwrap();
    assert_eq!(client.say(&cx, line("a")).await.unwrap_err().code(), Code::DataLoss);
    // A stream is aborted before it begins.
    let refused = match client.count(&cx, CountRequest { to: 3 }).await {
        Ok(mut numbers) => numbers.message().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused.code(), Code::DataLoss);
    let figures = [fault.figures(&CHAT_SAY), fault.figures(&CHAT_COUNT)];
    assert_eq!([figures[0].aborts, figures[0].delays, figures[1].aborts], [2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_asks_in_vain() {
    let config = FaultConfig { trusted_networks: vec!["10.0.0.0/8".parse().unwrap()], ..headers() };
    let server = Running::serve(&room().with(&Fault::new(&config).unwrap())).await;
    let headers = ["content-type: application/json", "x-fault-abort: UNAVAILABLE"];
    let answer = request(server.http, "POST", "/v1/say", &headers, br#"{"text":"a"}"#).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_opens_by_faults_that_are_turned_on_while_it_runs_and_the_log_says_so() {
    let log = Log::start();
    let breaker = Breaker::new(&BreakerConfig { min_calls: 5, ..BreakerConfig::default() }).unwrap();
    let fault = Fault::new(&FaultConfig::default()).unwrap();
    let mut chat = room().with(&fault);
    let layer = BreakerLayer::new(&breaker);
    chat.say = chat.say.wrap(layer.info(), |inner| layer.layer(inner));
    let server = Running::serve(&chat).await;
    let say = || post(server.http, "/v1/say", r#"{"text":"a"}"#);
    assert_eq!(say().await.status, 200);
    let message = "only this test says so";
    let abort = AbortConfig { message: message.to_owned(), ..AbortConfig::of(Code::Internal, 100.0) };
    fault.reconfigure(&FaultConfig::default().with_abort(abort)).unwrap();
    let mut last = say().await;
    for _ in 0..10 {
        last = say().await;
    }
    assert_eq!(last.status, 503, "the breaker is open: {}", last.text());
    assert!(!last.text().contains("FAULT_INJECTED"), "{}", last.text());
    log.wait_for("faults are injected: calls are late or fail on purpose", message).await;
}
