use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, advance, sleep};

use super::{Bbr, BbrConfig, BbrLayer, CpuSource, handle::Running};
use crate::{
    Class, Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request, Streaming,
    layer::concurrency::Priority,
};

/// What a test says, in hundredths.
#[derive(Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Told {
    fn set(&self, hundredths: u64) {
        self.0.store(hundredths, Ordering::Relaxed);
    }
}

impl CpuSource for Told {
    fn usage(&mut self, _: Duration) -> Option<f64> {
        Some(self.0.load(Ordering::Relaxed) as f64 / 100.0)
    }
}

/// Believes each look at once.
fn config() -> BbrConfig {
    BbrConfig { decay: 0.0, min_in_flight: 1, ..BbrConfig::default() }
}

fn bbr() -> (Bbr, Told) {
    let cpu = Told::default();
    (Bbr::with_cpu(&config(), cpu.clone()).unwrap(), cpu)
}

fn enter(bbr: &Bbr, class: Priority) -> Result<Running, Error> {
    bbr.enter(class, Instant::now()).map(Running::keep)
}

fn come(bbr: &Bbr) -> Result<Running, Error> {
    enter(bbr, Priority::Normal)
}

/// Ten calls at once, of 40 ms each, in one part of 100 ms: a capacity of 4.
async fn learn(bbr: &Bbr) {
    let calls: Vec<_> = (0..10).map(|_| come(bbr).unwrap()).collect();
    advance(Duration::from_millis(40)).await;
    for call in calls {
        call.passed(Instant::now());
    }
    advance(Duration::from_millis(260)).await;
    assert_eq!(bbr.figures().capacity, Some(4.0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_refused_while_there_is_time() {
    let (bbr, cpu) = bbr();
    learn(&bbr).await;
    cpu.set(79);
    advance(Duration::from_millis(250)).await;
    let calls: Vec<_> = (0..1000).map(|_| come(&bbr).unwrap()).collect();
    assert_eq!((bbr.figures().in_flight, bbr.figures().protecting), (1000, false));
    drop(calls);
    assert_eq!(bbr.figures().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn above_the_threshold_what_is_too_much_is_refused() {
    let (bbr, cpu) = bbr();
    learn(&bbr).await;
    cpu.set(95);
    advance(Duration::from_millis(250)).await;
    let mut calls: Vec<_> = (0..3).map(|_| enter(&bbr, Priority::Sheddable).unwrap()).collect();
    let error = enter(&bbr, Priority::Sheddable).unwrap_err();
    assert_eq!((error.code(), error.class()), (Code::ResourceExhausted, Class::Rejected));
    assert_eq!(error.reason().unwrap().reason, "OVERLOADED");
    assert_eq!(error.retry_delay(), Some(Duration::from_secs(1)));
    calls.push(come(&bbr).unwrap());
    come(&bbr).unwrap_err();
    // Important calls are let through longer, not for ever.
    for _ in 0..4 {
        calls.push(enter(&bbr, Priority::Critical).unwrap());
    }
    enter(&bbr, Priority::Critical).unwrap_err();
    assert_eq!((bbr.figures().in_flight, bbr.figures().rejected), (8, 3));
    // With room everything passes, busy or not.
    calls.clear();
    come(&bbr).unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_cools_down_for_a_second_after_the_last_refusal() {
    let (bbr, cpu) = bbr();
    learn(&bbr).await;
    cpu.set(95);
    advance(Duration::from_millis(250)).await;
    let calls: Vec<_> = (0..4).map(|_| come(&bbr).unwrap()).collect();
    come(&bbr).unwrap_err();
    cpu.set(10);
    // Refusals of this time do not make it longer.
    for _ in 0..3 {
        advance(Duration::from_millis(300)).await;
        come(&bbr).unwrap_err();
        assert!(bbr.figures().protecting);
    }
    advance(Duration::from_millis(100)).await;
    come(&bbr).unwrap();
    assert!(!bbr.figures().protecting);
    drop(calls);
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_is_forgotten_after_ten_seconds_without_calls() {
    let (bbr, cpu) = bbr();
    learn(&bbr).await;
    cpu.set(100);
    advance(Duration::from_secs(11)).await;
    assert_eq!(bbr.figures().capacity, None);
    let _call = come(&bbr).unwrap();
    come(&bbr).unwrap_err();
}

fn method(kind: MethodKind) -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Say", kind))
}

#[tokio::test(start_paused = true)]
async fn calls_count_until_their_answer_and_only_answers_are_learned_from() {
    let (bbr, _cpu) = bbr();
    let say = Endpoint::from_fn(method(MethodKind::Unary), |_, text: String| async move {
        sleep(Duration::from_millis(10)).await;
        match &*text {
            "internal" => Err::<String, _>(Error::internal("a bug")),
            "forever" => std::future::pending().await,
            _ => Err(Error::not_found("no such thing")),
        }
    });
    let say = say.with(&bbr);
    let call = |text: &str| say.call(Request::new(Context::background(), text.to_owned()));
    for text in ["internal", "forever"] {
        let _ = tokio::time::timeout(Duration::from_millis(50), call(text)).await;
        advance(Duration::from_millis(100)).await;
        assert_eq!((bbr.figures().in_flight, bbr.figures().capacity), (0, None), "{text}");
    }
    call("a").await.unwrap_err();
    advance(Duration::from_millis(100)).await;
    assert!(bbr.figures().capacity.is_some());

    let watch = Endpoint::from_fn(method(MethodKind::ServerStreaming), |_, (): ()| async {
        Ok(Streaming::<String>::new(futures_util::stream::pending()))
    });
    let answer = watch.with(&bbr).call(Request::new(Context::background(), ())).await.unwrap();
    assert_eq!(bbr.figures().in_flight, 0, "an answer that has begun");
    drop(answer);
    assert_eq!(bbr.figures().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn settings_are_shown_and_changed_while_it_runs() {
    let (bbr, cpu) = bbr();
    learn(&bbr).await;
    let info = BbrLayer::new(&bbr).for_method(&method(MethodKind::Unary)).info().unwrap();
    assert_eq!((info.name(), &info.settings()["window"]), ("bbr", &json!("10s")));
    cpu.set(60);
    advance(Duration::from_millis(250)).await;
    let _calls: Vec<_> = (0..4).map(|_| come(&bbr).unwrap()).collect();
    assert_eq!(info.state().unwrap()["cpu"], json!(0.6));
    info.change(&json!({ "cpu_threshold": 0.5 })).unwrap();
    come(&bbr).unwrap_err();
    // Another window begins to count anew.
    info.change(&json!({ "window": "1s" })).unwrap();
    assert_eq!(info.state().unwrap()["capacity"], json!(null));
    let error = info.change(&json!({ "decay": 1 })).unwrap_err();
    assert!(error.message().starts_with("bbr.decay must be"), "{error}");
    assert_eq!(Bbr::new(&BbrConfig { buckets: 0, ..config() }).unwrap_err().code(), Code::InvalidArgument);
    assert!(BbrLayer::none().info().is_none());
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn figures_are_shown_and_keep_nothing_alive() {
    use crate::telemetry::metrics::{Format, Metrics, Side};
    let metrics = Metrics::new();
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let (bbr, _cpu) = bbr();
    bbr.observe(&metrics, &method(MethodKind::Unary), Side::Server).unwrap();
    learn(&bbr).await;
    let line = |value| format!(r#"kit_bbr_capacity{{rpc_method="Say",rpc_service="demo.Demo",side="server"}} {value}"#);
    assert!(text().contains(&line(4)), "{}", text());
    drop(bbr);
    assert!(text().contains(&line(0)), "{}", text());
}

#[tokio::test(start_paused = true)]
async fn a_few_calls_run_in_any_case_and_no_more_when_nothing_gets_done() {
    let cpu = Told::default();
    let bbr = Bbr::with_cpu(&BbrConfig { decay: 0.0, ..BbrConfig::default() }, cpu.clone()).unwrap();
    cpu.set(100);
    advance(Duration::from_millis(250)).await;
    let calls: Vec<_> = (0..4).map(|_| come(&bbr).unwrap()).collect();
    // Nothing was ever done: all that is known is that the processors are busy.
    assert_eq!(bbr.figures().capacity, None);
    come(&bbr).unwrap_err();
    drop(calls);
    come(&bbr).unwrap();
}
