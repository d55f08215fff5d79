use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::time::{advance, sleep};
use tower::{Layer as _, Service as _};

use crate::{
    Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request, Response, Streaming,
    layer::breaker::{Breaker, BreakerConfig, BreakerLayer, BreakerState, BreakerWindow, Verdict},
    layer::timeout::TimeoutLayer,
};

/// Opens on the second of two failures, closes on one probe, without chance.
fn config() -> BreakerConfig {
    BreakerConfig {
        window: BreakerWindow::Calls(10),
        min_calls: 2,
        failure_ratio: 0.5,
        open_for: secs(4),
        open_max: secs(10),
        jitter: 0.0,
        probes: 1,
        successes: 1,
        ..BreakerConfig::default()
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn method(kind: MethodKind) -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Say", kind))
}

/// Does what the message says.
async fn act(what: String) -> Result<String, Error> {
    match what.as_str() {
        "ok" => Ok(what),
        "slow" => {
            sleep(secs(6)).await;
            Ok(what)
        }
        "hang" => std::future::pending().await,
        "missing" => Err(Error::not_found("none")),
        "refused" => Err(Error::unavailable("not now").as_rejection()),
        "aborted" => Err(Error::aborted("lost")),
        _ => Err(Error::unavailable("away")),
    }
}

type Say = Endpoint<String, String>;

fn around(breaker: &Breaker) -> Say {
    let say = Endpoint::from_fn(method(MethodKind::Unary), |_, what: String| act(what));
    let layer = BreakerLayer::new(breaker);
    say.wrap(layer.info(), |inner| layer.layer(inner))
}

async fn call(say: &Say, what: &str) -> Result<String, Error> {
    say.call_next(&Context::background(), what.to_owned()).await
}

fn reason(error: &Error) -> &str {
    &error.reason().unwrap().reason
}

#[tokio::test(start_paused = true)]
async fn it_opens_probes_and_closes() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = around(&breaker);
    for _ in 0..2 {
        assert_eq!(call(&say, "down").await.unwrap_err().message(), "away");
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    advance(Duration::from_millis(500)).await;
    let refused = call(&say, "ok").await.unwrap_err();
    assert_eq!(
        refused.message(),
        "the breaker is open, try again in 3.5s: 2 of the last 2 calls failed, the last with UNAVAILABLE"
    );
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "BREAKER_OPEN"));
    assert_eq!(refused.retry_delay(), Some(Duration::from_millis(3_500)));
    assert!(!refused.is_fault(), "a refusal is nobody's failure");
    advance(Duration::from_millis(3_499)).await;
    call(&say, "ok").await.unwrap_err();
    advance(Duration::from_millis(1)).await;
    call(&say, "ok").await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.figures().calls, 0, "it starts anew");
}

#[tokio::test(start_paused = true)]
async fn it_stays_open_for_longer_each_time() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = around(&breaker);
    let opens = async |times: u32| {
        for _ in 0..times {
            call(&say, "down").await.unwrap_err();
        }
        breaker.figures().wait.unwrap()
    };
    assert_eq!(opens(2).await, secs(4));
    for seconds in [8, 10, 10] {
        advance(secs(10)).await;
        assert_eq!(opens(1).await, secs(seconds), "a probe failed");
    }
    assert_eq!(breaker.figures().why.unwrap(), "a probe failed with UNAVAILABLE");
    advance(secs(10)).await;
    call(&say, "ok").await.unwrap();
    advance(secs(9)).await;
    assert_eq!(opens(2).await, secs(10), "it was not closed for as long as it was open");
    advance(secs(10)).await;
    call(&say, "ok").await.unwrap();
    advance(secs(10)).await;
    assert_eq!(opens(2).await, secs(4), "it was");
}

#[tokio::test(start_paused = true)]
async fn chance_only_makes_it_longer_and_not_for_all_the_same() {
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let breaker = Breaker::new(&BreakerConfig { jitter: 0.5, ..config() }).unwrap();
        let say = around(&breaker);
        for _ in 0..2 {
            call(&say, "down").await.unwrap_err();
        }
        let wait = breaker.figures().wait.unwrap();
        assert!((secs(4)..=secs(6)).contains(&wait), "{wait:?}");
        seen.insert(wait);
    }
    assert!(seen.len() > 10);
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_is_not_counted() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = around(&breaker);
    for what in ["refused", "refused", "missing", "ok"] {
        let _ = call(&say, what).await;
    }
    let mut gone = Box::pin(call(&say, "hang"));
    assert!(futures_util::poll!(&mut gone).is_pending());
    assert_eq!(breaker.figures().in_flight, 1);
    drop(gone);
    let figures = breaker.figures();
    assert_eq!((figures.calls, figures.failures, figures.in_flight), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn its_own_refusals_do_not_feed_another() {
    let (outer, inner) = (Breaker::new(&config()).unwrap(), Breaker::new(&config()).unwrap());
    inner.force_open();
    let layer = BreakerLayer::new(&outer);
    let say = around(&inner);
    let say = say.wrap(layer.info(), |inner| layer.layer(inner));
    for _ in 0..10 {
        call(&say, "ok").await.unwrap_err();
    }
    assert_eq!((outer.figures().calls, outer.state()), (0, BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_failures_on_either_side_of_a_timeout() {
    for outside in [true, false] {
        let breaker = Breaker::new(&config()).unwrap();
        let (ours, timeout) = (BreakerLayer::new(&breaker), TimeoutLayer::server(Some(secs(1))));
        let say = Endpoint::from_fn(method(MethodKind::Unary), |_, what: String| act(what));
        let say = if outside { say.layer(ours).layer(timeout) } else { say.layer(timeout).layer(ours) };
        for _ in 0..2 {
            assert_eq!(call(&say, "hang").await.unwrap_err().code(), Code::DeadlineExceeded);
        }
        assert_eq!(breaker.state(), BreakerState::Open, "outside: {outside}");
        assert!(breaker.figures().why.unwrap().ends_with("DEADLINE_EXCEEDED"));
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it() {
    let breaker = Breaker::new(&BreakerConfig { slow_ratio: Some(0.5), ..config() }).unwrap();
    let say = around(&breaker);
    for _ in 0..2 {
        call(&say, "slow").await.unwrap();
    }
    assert_eq!(breaker.figures().why.unwrap(), "2 of the last 2 calls were slow");
    advance(secs(4)).await;
    call(&say, "slow").await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.figures().why.unwrap(), "a probe was slow");
}

#[tokio::test(start_paused = true)]
async fn too_many_at_once_are_refused_without_opening() {
    let config = BreakerConfig {
        max_in_flight: Some(2),
        code: Code::ResourceExhausted,
        message: Some("too many connections".to_owned()),
        ..config()
    };
    let breaker = Breaker::new(&config).unwrap();
    let say = around(&breaker);
    let mut running: Vec<_> = (0..2).map(|_| Box::pin(call(&say, "hang"))).collect();
    for call in &mut running {
        assert!(futures_util::poll!(call).is_pending());
    }
    for _ in 0..20 {
        let refused = call(&say, "ok").await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "too many connections"));
        assert_eq!((reason(&refused), refused.retry_delay()), ("BREAKER_FULL", Some(secs(1))));
        assert!(refused.to_log().to_string().contains("2 run, and no more may"));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    drop(running.pop());
    call(&say, "ok").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_is_given_back() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = around(&breaker);
    for _ in 0..2 {
        call(&say, "down").await.unwrap_err();
    }
    advance(secs(4)).await;
    let mut probe = Box::pin(call(&say, "hang"));
    assert!(futures_util::poll!(&mut probe).is_pending());
    let refused = call(&say, "ok").await.unwrap_err();
    assert!(refused.message().starts_with("the breaker is half open"), "{refused}");
    drop(probe);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    call(&say, "ok").await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_never_ends_does_not_hold_the_others_up() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = around(&breaker);
    for _ in 0..2 {
        call(&say, "down").await.unwrap_err();
    }
    advance(secs(4)).await;
    let mut lost = Box::pin(call(&say, "hang"));
    assert!(futures_util::poll!(&mut lost).is_pending());
    advance(secs(3)).await;
    assert_eq!(call(&say, "ok").await.unwrap_err().retry_delay(), Some(secs(1)));
    advance(secs(1)).await;
    call(&say, "ok").await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed);
    drop(lost);
    assert_eq!(breaker.figures().in_flight, 0);
}

/// Pending as often as it is told, then fine.
async fn polled(times: u32) -> Result<String, Error> {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    Ok(String::new())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_point_leaks_nothing() {
    const POLLS: u32 = 4;
    for probing in [false, true] {
        let breaker = Breaker::new(&BreakerConfig { max_in_flight: Some(1), ..config() }).unwrap();
        if probing {
            let say = around(&breaker);
            for _ in 0..2 {
                call(&say, "down").await.unwrap_err();
            }
            advance(secs(4)).await;
        }
        let layer = BreakerLayer::new(&breaker);
        let say = Endpoint::from_fn(method(MethodKind::Unary), |_, ()| polled(POLLS)).layer(layer);
        for polls in 0..=POLLS {
            let cx = Context::background();
            let mut call = Box::pin(say.call_next(&cx, ()));
            for _ in 0..polls {
                assert!(futures_util::poll!(&mut call).is_pending());
            }
            drop(call);
            let view = breaker.machine().view(breaker.now());
            assert_eq!((view.in_flight, view.probes), (0, 0), "after {polls} polls");
        }
        say.call_next(&Context::background(), ()).await.unwrap();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}

#[tokio::test]
async fn a_service_that_panics_at_once_leaks_nothing() {
    let breaker = Breaker::new(&config()).unwrap();
    let inner =
        tower::service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<()>, Error>> { panic!("bug") });
    let mut service = BreakerLayer::new(&breaker).layer(inner);
    let request = Request::new(Context::background(), ());
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(service.call(request))));
    assert!(called.is_err());
    assert_eq!(breaker.figures().in_flight, 0);
}

/// A rule is somebody else's code.
#[tokio::test(start_paused = true)]
async fn a_rule_that_panics_leaks_nothing() {
    let breaker = Breaker::with_rule(&config(), |outcome| match outcome.error() {
        Some(error) if error.code() == Code::Aborted => panic!("a bug in the rule"),
        _ => Verdict::of(outcome),
    })
    .unwrap();
    let say = around(&breaker);
    let panics = async || {
        let say = say.clone();
        let called = tokio::spawn(async move { call(&say, "aborted").await }).await;
        assert!(called.unwrap_err().is_panic());
        let view = breaker.machine().view(breaker.now());
        assert_eq!((view.in_flight, view.probes), (0, 0));
    };
    panics().await;
    for _ in 0..2 {
        call(&say, "down").await.unwrap_err();
    }
    advance(secs(4)).await;
    panics().await;
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    call(&say, "ok").await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn as_a_middleware_it_is_one_for_all() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = || Endpoint::from_fn(method(MethodKind::Unary), |_, what: String| act(what)).with(&breaker);
    let (one, other) = (say(), say());
    call(&one, "down").await.unwrap_err();
    call(&other, "down").await.unwrap_err();
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(reason(&call(&one, "ok").await.unwrap_err()), "BREAKER_OPEN");
    assert_eq!(one.layers()[0].name(), "breaker");
}

#[tokio::test(start_paused = true)]
async fn streams_are_judged_at_their_end() {
    let breaker = Breaker::new(&BreakerConfig { slow_ratio: Some(0.5), ..config() }).unwrap();
    let fails = Arc::new(AtomicU32::new(2));
    let failing = Arc::clone(&fails);
    let say = Endpoint::from_fn(method(MethodKind::ServerStreaming), move |_, ()| {
        let fail = failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        let last = if fail { Err(Error::unavailable("broke off")) } else { Ok("b".to_owned()) };
        let items = futures_util::stream::iter([Ok("a".to_owned()), last]);
        std::future::ready(Ok(Streaming::new(items)))
    });
    let say = say.layer(BreakerLayer::new(&breaker));
    let begin = async || say.call_next(&Context::background(), ()).await;
    for calls in 1..=2 {
        let mut answers = begin().await.unwrap();
        assert_eq!(breaker.figures().in_flight, 1);
        assert!(answers.message().await.is_ok());
        // A long stream is not slow.
        advance(secs(60)).await;
        assert_eq!(breaker.figures().calls, calls - 1);
        answers.message().await.unwrap_err();
        let figures = breaker.figures();
        assert_eq!((figures.failures, figures.slow, figures.in_flight), (calls, 0, 0));
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    advance(secs(4)).await;
    let mut probe = begin().await.unwrap();
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    probe.message().await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed, "a probe counts with its first message");
    assert_eq!(breaker.figures().in_flight, 1);
    drop(probe);
    let figures = breaker.figures();
    assert_eq!((figures.in_flight, figures.calls), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rule_decides_in_the_place_of_the_classes() {
    let rule = |outcome: crate::layer::track::Outcome<'_>| match outcome.error() {
        Some(error) if error.code() == Code::Aborted => Verdict::Failure,
        Some(_) => Verdict::Ignored,
        None => Verdict::Success,
    };
    let breaker = Breaker::with_rule(&config(), rule).unwrap();
    let say = around(&breaker);
    for what in ["down", "down", "refused"] {
        call(&say, what).await.unwrap_err();
    }
    assert_eq!(breaker.figures().calls, 0);
    for _ in 0..2 {
        call(&say, "aborted").await.unwrap_err();
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_forced_and_changed_through_the_debug_port() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = around(&breaker);
    let info = &say.layers()[0];
    assert_eq!((info.name(), &info.settings()["window"]), ("breaker", &json!(10)));

    info.change(&json!({ "force": "open" })).unwrap();
    let refused = call(&say, "ok").await.unwrap_err();
    assert_eq!(refused.message(), "the breaker was opened by hand, try again later");
    assert_eq!((reason(&refused), refused.retry_delay()), ("BREAKER_OPEN", Some(secs(4))));
    assert_eq!(info.state().unwrap()["state"], "forced_open");

    info.change(&json!({ "force": "closed" })).unwrap();
    for _ in 0..10 {
        assert_eq!(call(&say, "down").await.unwrap_err().message(), "away");
    }
    assert_eq!(info.state().unwrap()["calls"], 0);

    info.change(&json!({ "force": "none", "min_calls": 3, "window": "1s" })).unwrap();
    assert_eq!(
        (info.state().unwrap()["state"].clone(), info.settings()["window"].clone()),
        (json!("closed"), json!("1s"))
    );
    for calls in 0..3 {
        assert_eq!(info.state().unwrap()["calls"], calls);
        call(&say, "down").await.unwrap_err();
    }
    let state = info.state().unwrap();
    assert_eq!((&state["state"], &state["wait"]), (&json!("open"), &json!("4s")));
    assert!(state["why"].as_str().unwrap().starts_with("3 of the last 3"));
    assert!(state["since"].as_str().unwrap() < state["until"].as_str().unwrap());

    for (wrong, message) in [
        (json!({ "force": "open", "min_calls": 0 }), "breaker.min_calls is 0: give at least 1"),
        (json!({ "force": "half" }), "breaker.force must be \"open\", \"closed\" or \"none\""),
        (json!({ "force": null }), "breaker.force must be \"open\", \"closed\" or \"none\""),
        (json!([]), "breaker: a change is an object with the settings to change, and their new values"),
    ] {
        assert_eq!(info.change(&wrong).unwrap_err().message(), message);
    }
    let error = info.change(&json!({ "other": 1, "force": "open" })).unwrap_err();
    assert!(error.message().starts_with("breaker.other: unknown field `other`"), "{error}");
    info.change(&json!({ "message": "not now" })).unwrap();
    assert_eq!(breaker.config().message.as_deref(), Some("not now"));
    info.change(&json!({ "message": null })).unwrap();
    assert_eq!(breaker.config().message, None);
    assert_eq!((breaker.state(), breaker.config().min_calls), (BreakerState::Open, 3), "nothing changed");
}

#[tokio::test(start_paused = true)]
async fn changed_settings_hold_for_the_next_call() {
    let breaker = Breaker::new(&config()).unwrap();
    let say = around(&breaker);
    call(&say, "down").await.unwrap_err();
    breaker.reconfigure(&BreakerConfig { min_calls: 3, ..config() }).unwrap();
    call(&say, "down").await.unwrap_err();
    assert_eq!((breaker.state(), breaker.figures().calls), (BreakerState::Closed, 2), "what was counted is kept");
    call(&say, "down").await.unwrap_err();
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test]
async fn a_layer_without_a_breaker_refuses_nothing() {
    let layer = BreakerLayer::none();
    assert!(layer.info().is_none());
    let say = Endpoint::from_fn(method(MethodKind::Unary), |_, what: String| act(what)).layer(layer);
    for _ in 0..100 {
        assert_eq!(call(&say, "down").await.unwrap_err().message(), "away");
    }
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn its_figures_are_read_and_do_not_keep_it_alive() {
    use crate::telemetry::metrics::{Format, Metrics, Side};
    let metrics = Metrics::new();
    let breaker = Breaker::new(&config()).unwrap();
    breaker.observe(&metrics, &method(MethodKind::Unary), Side::Client).unwrap();
    let say = around(&breaker);
    for _ in 0..3 {
        call(&say, "down").await.unwrap_err();
    }
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let labels = "rpc_method=\"Say\",rpc_service=\"demo.Demo\",side=\"client\"";
    for line in [
        format!("kit_breaker_state{{{labels},state=\"open\"}} 1\n"),
        format!("kit_breaker_state{{{labels},state=\"closed\"}} 0\n"),
        format!("kit_breaker_rejected_total{{reason=\"open\",{labels}}} 1\n"),
        format!("kit_breaker_transitions_total{{{labels},to=\"open\"}} 1\n"),
        format!("kit_breaker_in_flight{{{labels}}} 0\n"),
        format!("kit_breaker_failure_ratio{{{labels}}} 1\n"),
        format!("kit_breaker_slow_ratio{{{labels}}} 0\n"),
    ] {
        assert!(text().contains(&line), "{line} is not in {}", text());
    }
    drop((say, breaker));
    assert!(text().contains(&format!("kit_breaker_state{{{labels},state=\"open\"}} 0\n")));
}
