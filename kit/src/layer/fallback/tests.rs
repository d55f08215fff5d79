use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::{Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request, Response, Streaming};

const MS: Duration = Duration::from_millis(1);

fn method(kind: MethodKind) -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Read", kind))
}

/// A method that always fails.
fn failing(error: fn() -> Error) -> Endpoint<String, String> {
    Endpoint::from_fn(method(MethodKind::Unary), move |_, _: String| async move { Err(error()) })
}

/// One that is never done.
fn stuck() -> Endpoint<String, String> {
    Endpoint::from_fn(method(MethodKind::Unary), |_, _: String| pending())
}

async fn ask(endpoint: &Endpoint<String, String>, cx: Context) -> Result<Response<String>, Error> {
    endpoint.call(Request::new(cx, "book".to_owned())).await
}

fn figures(fallback: &Fallback<String, String>) -> Vec<u64> {
    fallback.figures().all().iter().map(|(_, figure)| figure.load(Ordering::Relaxed)).collect()
}

fn is_degraded(answer: &Response<String>) -> bool {
    answer.metadata().get(DEGRADED) == Some("fallback")
}

#[tokio::test]
async fn an_answer_that_is_there_is_left_alone() {
    let good = Endpoint::from_fn(method(MethodKind::Unary), |_, text: String| async move { Ok(text) });
    let fallback = Fallback::to_value("other".to_owned());
    let answer = ask(&fallback.around(good), Context::background()).await.unwrap();
    assert_eq!((answer.message().as_str(), answer.metadata().len()), ("book", 0));
    assert_eq!(figures(&fallback), [0; 5]);
}

#[tokio::test]
async fn an_outage_is_answered_and_says_so() {
    let other = Endpoint::from_fn(method(MethodKind::Unary), |cx: Context, text: String| async move {
        cx.set_response_metadata("x-from", "other")?;
        Ok(format!("{text} of {}", cx.metadata().get("x-tenant").unwrap_or("nobody")))
    });
    let function = |_, text: String, error: Error| async move { Ok(format!("{text} after {}", error.code())) };
    for (fallback, text) in [
        (Fallback::to_value("nothing".to_owned()), "nothing"),
        (Fallback::to_endpoint(other), "book of blue"),
        (Fallback::to_fn(function), "book after UNAVAILABLE"),
    ] {
        let read = fallback.around(failing(|| Error::unavailable("away")));
        let mut cx = Context::background();
        cx.metadata_mut().insert("x-tenant", "blue").unwrap();
        let answer = ask(&read, cx).await.unwrap();
        assert_eq!(answer.message(), text);
        assert!(is_degraded(&answer));
        assert_eq!(answer.metadata().get("x-from"), text.ends_with("blue").then_some("other"));
        assert_eq!(figures(&fallback), [1, 0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn a_callers_mistake_is_not_answered() {
    let errors: [fn() -> Error; 5] = [
        || Error::invalid_argument("no"),
        || Error::not_found("no"),
        || Error::permission_denied("no"),
        || Error::cancelled("no"),
        || Error::resource_exhausted("of the service"),
    ];
    let fallback = Fallback::to_value("other".to_owned());
    for error in errors {
        assert_eq!(
            ask(&fallback.around(failing(error)), Context::background()).await.unwrap_err().code(),
            error().code()
        );
    }
    assert_eq!(figures(&fallback), [0; 5]);
    // Settings and rules say otherwise.
    let config = FallbackConfig::default().with_code(Code::NotFound);
    let named = Fallback::to_value("other".to_owned()).with_config(&config).unwrap();
    ask(&named.around(failing(|| Error::not_found("no"))), Context::background()).await.unwrap();
    let ruled = Fallback::to_value("other".to_owned()).with_rule(|error| error.code() == Code::NotFound);
    ask(&ruled.around(failing(|| Error::not_found("no"))), Context::background()).await.unwrap();
    ask(&ruled.around(failing(|| Error::unavailable("no"))), Context::background()).await.unwrap_err();
}

#[tokio::test]
async fn a_refusal_of_our_own_is_answered() {
    let fallback = Fallback::to_value("other".to_owned());
    let open = failing(|| Error::resource_exhausted("the breaker is open").as_rejection());
    assert!(is_degraded(&ask(&fallback.around(open), Context::background()).await.unwrap()));
}

#[tokio::test]
async fn when_both_fail_the_caller_gets_the_first_error_and_the_log_both() {
    let fallback = Fallback::to_endpoint(failing(|| Error::not_found("gone").with_log("other shard")));
    let read = fallback.around(failing(|| Error::unavailable("away").with_log("db7")));
    let error = ask(&read, Context::background()).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Unavailable, "away"));
    let log = error.to_log().to_string();
    assert!(log.contains("db7; the fallback failed too: NOT_FOUND: gone (other shard)"), "{log}");
    assert_eq!(figures(&fallback), [0, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_given_up_in_time_for_its_fallback() {
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let fallback = Fallback::to_fn(move |cx: Context, text: String, error: Error| {
        *note.lock().unwrap() = Some((cx.remaining(), error.code()));
        async move {
            sleep(30 * MS).await;
            Ok(text)
        }
    });
    let start = Instant::now();
    let answer = ask(&fallback.around(stuck()), Context::background().with_timeout(1000 * MS)).await.unwrap();
    assert!(is_degraded(&answer));
    assert_eq!(start.elapsed(), 980 * MS);
    assert_eq!(*seen.lock().unwrap(), Some((Some(50 * MS), Code::DeadlineExceeded)));

    // Of little time it is half.
    let start = Instant::now();
    let fallback = Fallback::to_value("other".to_owned());
    ask(&fallback.around(stuck()), Context::background().with_timeout(20 * MS)).await.unwrap();
    assert_eq!(start.elapsed(), 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_answered_after_the_deadline() {
    // A call that uses all its time.
    let config = FallbackConfig { reserve: Duration::ZERO, ..FallbackConfig::default() };
    let fallback = Fallback::to_value("other".to_owned()).with_config(&config).unwrap();
    let slow = Endpoint::from_fn(method(MethodKind::Unary), |_, _: String| async {
        sleep(100 * MS).await;
        Err::<String, _>(Error::unavailable("at last"))
    });
    let error = ask(&fallback.around(slow), Context::background().with_timeout(100 * MS)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_log().to_string().contains("too late for the fallback"));
    assert_eq!(figures(&fallback), [0, 0, 1, 0, 0]);

    // A fallback that is too slow.
    let fallback = Fallback::to_endpoint(stuck());
    let start = Instant::now();
    let read = fallback.around(failing(|| Error::unavailable("away")));
    let error = ask(&read, Context::background().with_timeout(100 * MS)).await.unwrap_err();
    assert_eq!((error.code(), start.elapsed()), (Code::Unavailable, 100 * MS));
    assert_eq!(figures(&fallback), [0, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_call_that_failed_is_dropped_before_the_fallback_is_asked() {
    struct Open(Arc<AtomicUsize>);
    impl Drop for Open {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    let first = Endpoint::from_fn(method(MethodKind::Unary), move |cx: Context, _: String| {
        counted.fetch_add(1, Ordering::Relaxed);
        let held = Open(Arc::clone(&counted));
        async move {
            let _held = held;
            cx.set_response_metadata("x-of", "the first")?;
            pending::<Result<String, Error>>().await
        }
    });
    let left = Arc::clone(&open);
    let fallback = Fallback::to_fn(move |_, _: String, _| {
        let open = left.load(Ordering::Relaxed);
        async move { Ok(open.to_string()) }
    });
    let answer = ask(&fallback.around(first), Context::background().with_timeout(1000 * MS)).await.unwrap();
    assert_eq!(answer.message(), "0");
    assert_eq!(answer.metadata().get("x-of"), None, "what the first had set is not of this answer");
}

#[tokio::test]
async fn a_fallback_that_is_given_up_is_counted() {
    let fallback = Fallback::to_endpoint(stuck());
    let read = fallback.around(failing(|| Error::unavailable("away")));
    let mut call = Box::pin(ask(&read, Context::background()));
    assert!(futures_util::poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(figures(&fallback), [0, 0, 0, 1, 0]);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_not_kept() {
    let config = FallbackConfig { max_request: 5, ..FallbackConfig::default() };
    let other = || Endpoint::from_fn(method(MethodKind::Unary), |_, text: String| async move { Ok(text) });
    let fallback = Fallback::to_endpoint(other()).with_config(&config).unwrap();
    let read = fallback.around(failing(|| Error::unavailable("away")));
    ask(&read, Context::background()).await.unwrap_err();
    assert_eq!(figures(&fallback), [0, 0, 0, 0, 1]);
    // A value needs no request.
    let value = Fallback::to_value("other".to_owned()).with_config(&config).unwrap();
    ask(&value.around(failing(|| Error::unavailable("away"))), Context::background()).await.unwrap();
}

#[tokio::test]
async fn streams_pass_through_and_the_layer_says_so() {
    let method = method(MethodKind::ServerStreaming);
    let count =
        Endpoint::from_fn(method, |_, _: String| async { Err::<Streaming<String>, _>(Error::unavailable("away")) });
    let fallback = Fallback::to_endpoint(count.clone());
    let count = fallback.around(count);
    count.call(Request::new(Context::background(), String::new())).await.unwrap_err();
    assert_eq!(count.layers()[0].state().unwrap()["answers"], "never: streams pass through");
}

#[tokio::test]
async fn the_layer_tells_of_itself() {
    let fallback = Fallback::to_value("other".to_owned());
    let read = fallback.around(failing(|| Error::unavailable("away")));
    ask(&read, Context::background()).await.unwrap();
    let info = &read.layers()[0];
    assert_eq!(
        (info.name(), &info.settings()["source"], &info.settings()["reserve"]),
        ("fallback", &"value".into(), &"50ms".into())
    );
    assert_eq!(info.state().unwrap()["answered"], 1);
    assert!(FallbackLayer::<String, String>::none().info().is_none());
    let none = FallbackLayer::none();
    let read = failing(|| Error::unavailable("away")).wrap(None, |inner| tower::Layer::layer(&none, inner));
    ask(&read, Context::background()).await.unwrap_err();
    fallback.with_config(&FallbackConfig { max_request: 0, ..FallbackConfig::default() }).unwrap_err();
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn figures_are_told_to_prometheus() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let (metrics, fallback) = (Metrics::new(), Fallback::to_value("other".to_owned()));
    fallback.observe(&metrics, &method(MethodKind::Unary), Side::Client).unwrap();
    ask(&fallback.around(failing(|| Error::unavailable("away"))), Context::background()).await.unwrap();
    advance(MS).await;
    let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let line =
        r#"kit_fallback_calls_total{outcome="answered",rpc_method="Read",rpc_service="demo.Demo",side="client"} 1"#;
    assert!(text.contains(line), "{text}");
}
