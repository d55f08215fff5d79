//! The throttle around endpoints, on a paused clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use serde_json::json;
use tokio::time::advance;

use super::{Throttle, ThrottleConfig, ThrottleLayer};
use crate::{Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Streaming, layer::track::Outcome};

fn method(kind: MethodKind) -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Say", kind))
}

fn throttle() -> Throttle {
    Throttle::with_seed(&ThrottleConfig::default(), 7).unwrap()
}

type Say = Endpoint<String, String>;

/// Does what the message says, and counts the calls that reach it.
fn around(throttle: &Throttle) -> (Say, Arc<AtomicU32>) {
    let reached = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reached);
    let say = Endpoint::from_fn(method(MethodKind::Unary), move |_, what: String| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match what.as_str() {
                "ok" => Ok(what),
                "hang" => std::future::pending().await,
                "missing" => Err(Error::not_found("none")),
                "broken" => Err(Error::internal("bug")),
                "refused here" => Err(Error::unavailable("not now").as_rejection()),
                "passed on" => Err(Error::unavailable("spared").with_reason("BREAKER_OPEN", "kit")),
                "cancelled" => Err(Error::cancelled("gone")),
                "exhausted" => Err(Error::resource_exhausted("too much")),
                _ => Err(Error::unavailable("away")),
            }
        }
    });
    (say.with(throttle), reached)
}

async fn call(say: &Say, what: &str) -> Result<String, Error> {
    say.call_next(&Context::background(), what.to_owned()).await
}

#[tokio::test(start_paused = true)]
async fn a_service_that_takes_what_is_sent_gets_all() {
    let throttle = throttle();
    let (say, reached) = around(&throttle);
    for what in ["ok", "missing", "broken"].into_iter().cycle().take(300) {
        let _ = call(&say, what).await;
    }
    // Up to half may be refused before any is held back.
    for _ in 0..300 {
        assert_eq!(call(&say, "down").await.unwrap_err().message(), "away");
    }
    assert_eq!(reached.load(Ordering::Relaxed), 600);
    assert_eq!(throttle.figures().probability, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_passes_on_that_another_is_spared_gets_all() {
    let throttle = throttle();
    let (say, reached) = around(&throttle);
    for _ in 0..300 {
        assert_eq!(call(&say, "passed on").await.unwrap_err().message(), "spared");
    }
    assert_eq!((reached.load(Ordering::Relaxed), throttle.figures().requests), (300, 0));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_all_gets_one_call_in_five() {
    let throttle = throttle();
    let (say, reached) = around(&throttle);
    let mut refused = Vec::new();
    for _ in 0..2_000 {
        let error = call(&say, "exhausted").await.unwrap_err();
        if error.reason().is_some() {
            refused.push(error);
        }
    }
    let (sent, figures) = (reached.load(Ordering::Relaxed), throttle.figures());
    assert!((340..460).contains(&sent), "{sent} were sent");
    assert_eq!((figures.requests, figures.accepts, figures.probability), (2_000, 0, 0.8));
    assert_eq!(figures.rejected, u64::from(2_000 - sent));
    let last = refused.last().unwrap();
    assert_eq!((last.code(), &*last.reason().unwrap().reason), (Code::Unavailable, "THROTTLED"));
    assert_eq!(last.retry_delay(), Some(Duration::from_secs(1)));
    assert_eq!(last.message(), "the service refuses calls, so 80 % are not sent to it: try again in 1s");
    assert!(!last.is_fault());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_takes_a_part_is_sent_twice_that() {
    let throttle = throttle();
    let (say, reached) = around(&throttle);
    // Each second it takes 10 calls of 100.
    for _ in 0..120 {
        let before = reached.load(Ordering::Relaxed);
        for _ in 0..100 {
            let taken = reached.load(Ordering::Relaxed) - before < 10;
            let _ = call(&say, if taken { "ok" } else { "exhausted" }).await;
        }
        advance(Duration::from_secs(1)).await;
    }
    let sent = reached.load(Ordering::Relaxed);
    // The cap lets a fifth through: 20 of 100, twice what is taken.
    assert!((2_100..2_900).contains(&sent), "{sent} were sent in two minutes");
}

#[tokio::test(start_paused = true)]
async fn it_forgets() {
    let throttle = throttle();
    let (say, _) = around(&throttle);
    for _ in 0..100 {
        let _ = call(&say, "down").await;
    }
    assert!(throttle.figures().probability > 0.7);
    advance(Duration::from_secs(120)).await;
    let figures = throttle.figures();
    assert_eq!((figures.requests, figures.probability), (0, 0.0));
    call(&say, "ok").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_is_not_counted() {
    let throttle = throttle();
    let (say, _) = around(&throttle);
    for what in ["refused here", "cancelled"] {
        call(&say, what).await.unwrap_err();
    }
    let mut gone = Box::pin(call(&say, "hang"));
    assert!(futures_util::poll!(&mut gone).is_pending());
    drop(gone);
    assert_eq!(throttle.figures().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn streams_count_at_their_end() {
    let throttle = throttle();
    let say = Endpoint::from_fn(method(MethodKind::ServerStreaming), |_, ()| async {
        let items = [Ok("a".to_owned()), Err(Error::unavailable("broke off"))];
        Ok(Streaming::new(futures_util::stream::iter(items)))
    });
    let say = say.layer(ThrottleLayer::new(&throttle));
    let mut answers = say.call_next(&Context::background(), ()).await.unwrap();
    answers.message().await.unwrap();
    assert_eq!(throttle.figures().requests, 0);
    answers.message().await.unwrap_err();
    assert_eq!((throttle.figures().requests, throttle.figures().accepts), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn it_is_shown_and_changed_through_the_debug_port() {
    let throttle = throttle();
    let (say, _) = around(&throttle);
    let info = &say.layers()[0];
    assert_eq!((info.name(), &info.settings()["window"]), ("throttle", &json!("2m")));
    call(&say, "down").await.unwrap_err();
    assert_eq!(info.state().unwrap(), json!({ "requests": 1, "accepts": 0, "probability": 0.5, "rejected": 0 }));
    info.change(&json!({ "max_probability": 0.25 })).unwrap();
    assert_eq!(info.state().unwrap()["probability"], 0.25);
    for (wrong, message) in [
        (json!({ "k": 0 }), "throttle.k is 0: give 1 to 100 calls for each that is accepted"),
        (json!(1), "throttle: a change is an object with the settings to change, and their new values"),
    ] {
        assert_eq!(info.change(&wrong).unwrap_err().message(), message);
    }
    let error = info.change(&json!({ "other": 1 })).unwrap_err();
    assert!(error.message().starts_with("throttle.other: unknown field `other`"), "{error}");
    info.change(&json!({ "window": "1m" })).unwrap();
    assert_eq!(info.state().unwrap()["requests"], 0, "another window begins anew");
}

#[tokio::test]
async fn a_layer_without_a_throttle_refuses_nothing() {
    let layer = ThrottleLayer::none();
    assert!(layer.info().is_none());
    let say =
        Endpoint::from_fn(method(MethodKind::Unary), |_, ()| async { Err::<String, _>(Error::unavailable("away")) });
    let say = say.layer(layer);
    for _ in 0..100 {
        assert_eq!(say.call_next(&Context::background(), ()).await.unwrap_err().message(), "away");
    }
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn its_figures_are_read_and_do_not_keep_it_alive() {
    use crate::telemetry::metrics::{Format, Metrics, Side};
    let metrics = Metrics::new();
    let throttle = throttle();
    throttle.observe(&metrics, &method(MethodKind::Unary), Side::Client).unwrap();
    throttle.count(Outcome::Failed(&Error::unavailable("away")));
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let labels = "rpc_method=\"Say\",rpc_service=\"demo.Demo\",side=\"client\"";
    for line in [
        format!("kit_throttle_probability{{{labels}}} 0.5\n"),
        format!("kit_throttle_requests{{{labels}}} 1\n"),
        format!("kit_throttle_accepts{{{labels}}} 0\n"),
        format!("kit_throttle_rejected_total{{{labels}}} 0\n"),
    ] {
        assert!(text().contains(&line), "{line} is not in {}", text());
    }
    drop(throttle);
    assert!(text().contains(&format!("kit_throttle_requests{{{labels}}} 0\n")));
}

proptest! {
    #[test]
    fn the_probability_is_that_of_the_formula(
        k in 1.0..5.0_f64,
        most in 0.01..0.99_f64,
        calls in vec(any::<bool>(), 0..200),
    ) {
        let config = ThrottleConfig { k, max_probability: most, ..ThrottleConfig::default() };
        let throttle = Throttle::with_seed(&config, 1).unwrap();
        let away = Error::unavailable("away");
        let (mut requests, mut accepts) = (0.0, 0.0);
        for accepted in calls {
            throttle.count(if accepted { Outcome::Answered } else { Outcome::Failed(&away) });
            requests += 1.0;
            accepts += if accepted { 1.0 } else { 0.0 };
            let expected = f64::max(0.0, (requests - k * accepts) / (requests + 1.0)).min(most);
            prop_assert_eq!(throttle.figures().probability, expected);
        }
    }
}
