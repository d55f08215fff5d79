use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, poll};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::{
    Code, Context, Endpoint, Error, Metadata, Method, MethodInfo, MethodKind, Peer, Request, RequestId, Streaming,
    Transport,
};

const MS: Duration = Duration::from_millis(1);

fn method(name: &'static str) -> Method {
    Method::from(MethodInfo::new("demo.Demo", name, MethodKind::Unary))
}

fn endpoint(name: &'static str, fault: &Fault) -> Endpoint<String, String> {
    Endpoint::from_fn(method(name), |_, text: String| async move { Ok(text) }).with(fault)
}

fn fault(config: &FaultConfig) -> Fault {
    Fault::new(config).unwrap()
}

async fn call(endpoint: &Endpoint<String, String>) -> Result<String, Error> {
    called(endpoint, Context::background()).await
}

async fn called(endpoint: &Endpoint<String, String>, cx: Context) -> Result<String, Error> {
    endpoint.call(Request::new(cx, "a".to_owned())).await.map(|answer| answer.into_message())
}

/// How long a call took, and its code.
async fn timed(endpoint: &Endpoint<String, String>, cx: Context) -> (Duration, Code) {
    let start = Instant::now();
    let code = called(endpoint, cx).await.map_or_else(|error| error.code(), |_| Code::Ok);
    (start.elapsed(), code)
}

fn abort(percent: f64) -> FaultConfig {
    FaultConfig::default().with_abort(AbortConfig::of(Code::Unavailable, percent)).with_seed(1)
}

fn delay(time: Duration) -> FaultConfig {
    FaultConfig::default().with_delay(DelayConfig::of(time, 100.0))
}

/// The context of a call that came from an address, with headers.
fn from(address: &str, headers: &[(&str, &str)]) -> Context {
    let mut metadata = Metadata::new();
    for (name, value) in headers {
        metadata.insert(name, value).unwrap();
    }
    let peer = Peer { address: Some(format!("{address}:1000").parse().unwrap()), ..Peer::default() };
    Context::arrived(method("Say"), Transport::Http, metadata, None, RequestId::random(), Some(Arc::new(peer)))
}

#[tokio::test]
async fn a_share_of_the_calls_fails_as_if_the_service_had() {
    for (percent, least, most) in [(0.0, 0, 0), (0.5, 30, 70), (25.0, 2400, 2600), (100.0, 10_000, 10_000)] {
        let fault = fault(&abort(percent));
        let say = endpoint("Say", &fault);
        let mut failed = 0;
        for _ in 0..10_000 {
            if let Err(error) = call(&say).await {
                assert_eq!((error.code(), error.message()), (Code::Unavailable, "fault injected"));
                assert_eq!(error.reason().unwrap().reason, "FAULT_INJECTED");
                assert!(error.is_fault() && error.is_retryable(), "a breaker counts it, a retry tries again");
                failed += 1;
            }
        }
        assert!((least..=most).contains(&failed), "{percent} %: {failed}");
        assert_eq!(fault.figures(&method("Say")).aborts, failed);
    }
}

#[tokio::test]
async fn the_same_seed_is_the_same_chance() {
    let run = |seed: u64| async move {
        let say = endpoint("Say", &fault(&abort(50.0).with_seed(seed)));
        let mut calls = Vec::new();
        for _ in 0..200 {
            calls.push(call(&say).await.is_ok());
        }
        calls
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_fixed_or_between_two_times() {
    let say = endpoint("Say", &fault(&delay(100 * MS)));
    assert_eq!(timed(&say, Context::background()).await, (100 * MS, Code::Ok));
    let between = DelayConfig { up_to: Some(300 * MS), ..DelayConfig::of(100 * MS, 100.0) };
    let say = endpoint("Say", &fault(&FaultConfig::default().with_delay(between).with_seed(1)));
    let mut seen = Vec::new();
    for _ in 0..200 {
        seen.push(timed(&say, Context::background()).await.0);
    }
    seen.sort_unstable();
    // The timer has whole milliseconds.
    assert!(seen[0] >= 100 * MS && seen[0] < 110 * MS && seen[199] <= 301 * MS && seen[199] > 290 * MS, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_late_and_fail() {
    let config = delay(100 * MS).with_abort(AbortConfig::of(Code::Aborted, 100.0));
    let fault = fault(&config);
    assert_eq!(timed(&endpoint("Say", &fault), Context::background()).await, (100 * MS, Code::Aborted));
    let figures = fault.figures(&method("Say"));
    assert_eq!((figures.delays, figures.aborts, figures.skipped), (1, 1, 0));
}

#[tokio::test]
async fn an_aborted_call_is_not_made() {
    let fault = fault(&abort(100.0));
    let made =
        Endpoint::from_fn(method("Say"), |_, _: String| async { Err::<String, _>(Error::internal("the handler ran")) })
            .with(&fault);
    assert_eq!(call(&made).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn methods_have_faults_of_their_own() {
    let none = MethodFaults::default();
    let own = MethodFaults { abort: Some(AbortConfig::of(Code::Aborted, 100.0)), delay: None };
    let fault = fault(&abort(100.0).with_method("Calm", none).with_method("demo.Demo/Own", own));
    let code = |name| {
        let fault = fault.clone();
        async move { call(&endpoint(name, &fault)).await.map_or_else(|error| error.code(), |_| Code::Ok) }
    };
    assert_eq!(
        [code("Calm").await, code("Own").await, code("Say").await],
        [Code::Ok, Code::Aborted, Code::Unavailable]
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_wait_than_may_and_a_cancelled_one_gives_back_its_place() {
    let fault =
        fault(&FaultConfig { max_active: 2, ..delay(100 * MS).with_abort(AbortConfig::of(Code::Aborted, 100.0)) });
    let say = endpoint("Say", &fault);
    let (mut one, mut two) = (Box::pin(call(&say)), Box::pin(call(&say)));
    assert!(poll!(&mut one).is_pending() && poll!(&mut two).is_pending());
    assert_eq!(fault.active(), 2);
    // As if there were no faults: neither late nor failed.
    assert_eq!(timed(&say, Context::background()).await, (Duration::ZERO, Code::Ok));
    drop(one);
    assert_eq!(fault.active(), 1);
    assert_eq!(timed(&say, Context::background()).await, (100 * MS, Code::Aborted));
    two.await.unwrap_err();
    assert_eq!((fault.active(), fault.figures(&method("Say")).skipped), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn headers_are_obeyed_of_trusted_callers_only_and_when_they_are_turned_on() {
    let asks = [("x-fault-delay", "100ms"), ("x-fault-abort", "RESOURCE_EXHAUSTED")];
    let on = endpoint("Say", &fault(&FaultConfig { headers: true, ..FaultConfig::default() }));
    assert_eq!(timed(&on, from("127.0.0.1", &asks)).await, (100 * MS, Code::ResourceExhausted));
    assert_eq!(timed(&on, from("127.0.0.1", &asks[..1])).await, (100 * MS, Code::Ok));
    assert_eq!(timed(&on, from("127.0.0.1", &asks[1..])).await, (Duration::ZERO, Code::ResourceExhausted));
    assert_eq!(timed(&on, from("127.0.0.1", &[])).await, (Duration::ZERO, Code::Ok));
    assert_eq!(timed(&on, from("10.0.0.1", &asks)).await, (Duration::ZERO, Code::Ok));
    // Of a call inside the process nobody knows who asked for it first.
    let mut inside = Context::background();
    inside.metadata_mut().insert("x-fault-abort", "INTERNAL").unwrap();
    assert_eq!(timed(&on, inside).await, (Duration::ZERO, Code::Ok));

    let off = endpoint("Say", &fault(&FaultConfig::default()));
    assert_eq!(timed(&off, from("127.0.0.1", &asks)).await, (Duration::ZERO, Code::Ok));
    let settings = endpoint("Say", &fault(&delay(5 * MS)));
    assert_eq!(timed(&settings, from("127.0.0.1", &asks)).await, (5 * MS, Code::Ok));
}

#[tokio::test(start_paused = true)]
async fn headers_go_before_the_settings_and_a_mistake_in_them_is_told() {
    let config = FaultConfig { headers: true, ..delay(5 * MS) };
    let say = endpoint("Say", &fault(&config));
    assert_eq!(timed(&say, from("127.0.0.1", &[("x-fault-delay", "20ms")])).await, (20 * MS, Code::Ok));
    for (name, value) in [
        ("x-fault-delay", "100"),
        ("x-fault-delay", "2h"),
        ("x-fault-delay", "-1s"),
        ("x-fault-abort", "OK"),
        ("x-fault-abort", "unavailable"),
        ("x-fault-abort", "14"),
    ] {
        let error = called(&say, from("127.0.0.1", &[(name, value)])).await.unwrap_err();
        assert!(error.code() == Code::InvalidArgument && error.message().contains(name), "{value}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_before_its_first_message_only() {
    let method = Method::from(MethodInfo::new("demo.Demo", "Count", MethodKind::ServerStreaming));
    let count =
        Endpoint::from_fn(method, |_, _: String| async { Ok(Streaming::from_iter((0..3).map(|n| n.to_string()))) });
    let count = count.with(&fault(&delay(100 * MS)));
    let start = Instant::now();
    let mut answer = count.call(Request::new(Context::background(), String::new())).await.unwrap().into_message();
    let mut seen = 0;
    while answer.message().await.unwrap().is_some() {
        seen += 1;
        assert_eq!(start.elapsed(), 100 * MS);
    }
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn it_is_off_until_it_is_turned_on_and_can_be_turned_off_again() {
    let fault = fault(&FaultConfig::default());
    let say = endpoint("Say", &fault);
    let info = &say.layers()[0];
    assert_eq!(info.state().unwrap(), json!({ "on": false, "active": 0, "delays": 0, "aborts": 0, "skipped": 0 }));
    call(&say).await.unwrap();

    info.change(&json!({ "abort": { "code": "INTERNAL", "message": "trial" } })).unwrap();
    assert_eq!(info.settings()["abort"], json!({ "code": "INTERNAL", "message": "trial", "percent": 100.0 }));
    assert_eq!(call(&say).await.unwrap_err().message(), "trial");
    info.change(&json!({ "methods": { "Say": {} } })).unwrap();
    call(&say).await.unwrap();
    info.change(&json!({ "methods": { "Say": null } })).unwrap();
    call(&say).await.unwrap_err();

    // What is wrong changes nothing.
    for wrong in [
        json!({ "abort": { "code": "OK" } }),
        json!({ "abort": { "percent": 200 } }),
        json!({ "delay": { "percent": 10 } }),
        json!({ "headers": true, "trusted_networks": [] }),
        json!({ "other": 1 }),
        json!([]),
        json!(null),
    ] {
        assert_eq!(info.change(&wrong).unwrap_err().code(), Code::InvalidArgument, "{wrong}");
        assert_eq!(call(&say).await.unwrap_err().message(), "trial", "{wrong}");
    }
    info.change(&json!({ "abort": null })).unwrap();
    call(&say).await.unwrap();
    assert_eq!(info.state().unwrap()["on"], false);
    assert!(FaultLayer::none().info().is_none());
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn what_was_done_is_told_by_kind() {
    use crate::telemetry::metrics::{Format, Metrics, Side};
    let metrics = Metrics::new();
    let fault = fault(&abort(100.0));
    fault.observe(&metrics, &method("Say"), Side::Server).unwrap();
    call(&endpoint("Say", &fault)).now_or_never().unwrap().unwrap_err();
    let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    for (kind, count) in [("abort", 1), ("delay", 0)] {
        let line = format!(
            r#"kit_fault_injected_total{{kind="{kind}",rpc_method="Say",rpc_service="demo.Demo",side="server"}} {count}"#
        );
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
