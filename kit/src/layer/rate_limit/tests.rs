use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use serde_json::json;
use tokio::time::advance;

use super::*;
use crate::{Class, Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request, Response, Streaming};

const SECOND: Duration = Duration::from_secs(1);

fn method() -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary))
}

fn limit(config: &RateLimitConfig) -> RateLimit {
    RateLimit::new(config).unwrap()
}

/// How many calls are admitted before one is refused.
async fn burst(limit: &RateLimit, cx: &Context) -> usize {
    let mut admitted = 0;
    while limit.admit(cx).await.is_ok() {
        admitted += 1;
    }
    admitted
}

fn with_header(value: &str) -> Context {
    let mut cx = Context::background();
    cx.metadata_mut().insert("x-api-key", value).unwrap();
    cx
}

fn by_header() -> RateLimitConfig {
    RateLimitConfig::of(2, SECOND).with_key(RateLimitKey::Header("x-api-key".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_burst_and_then_one_each_interval() {
    let limit = limit(&RateLimitConfig::default());
    let cx = Context::background();
    assert_eq!(burst(&limit, &cx).await, 10);
    for _ in 0..25 {
        let error = limit.admit(&cx).await.unwrap_err();
        let delay = error.retry_delay().unwrap();
        assert_eq!(delay, Duration::from_millis(100), "exactly until the next free slot");
        assert_eq!((limit.remaining(), limit.next_free()), (0, delay));
        advance(delay).await;
        assert_eq!((limit.remaining(), limit.next_free()), (1, Duration::ZERO));
        limit.admit(&cx).await.unwrap();
    }
    advance(Duration::from_millis(350)).await;
    assert_eq!(limit.remaining(), 3);
    advance(Duration::from_secs(3600)).await;
    assert_eq!(burst(&limit, &cx).await, 10, "a long quiet time is worth no more than a burst");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_all_there_is_to_know() {
    let limit = limit(&RateLimitConfig::of(1, 10 * SECOND).with_message("not so fast"));
    let cx = Context::background();
    limit.admit(&cx).await.unwrap();
    advance(Duration::from_millis(500)).await;
    let error = limit.admit(&cx).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::ResourceExhausted, "not so fast"));
    assert_eq!((error.class(), error.is_fault()), (Class::Rejected, false));
    assert_eq!(error.retry_delay(), Some(Duration::from_millis(9500)));
    assert_eq!(error.reason().unwrap().reason, "RATE_LIMITED");
    let header = |name| error.metadata().get(name);
    assert_eq!(
        [header("ratelimit-limit"), header("ratelimit-remaining"), header("ratelimit-reset")],
        [Some("1"), Some("0"), Some("10")],
    );
    assert_eq!(limit.figures().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_share_what_each_method_has_of_its_own() {
    let limits = RateLimits::new(&RateLimitConfig::of(3, SECOND)).unwrap();
    let say = || Endpoint::from_fn(method(), |_, text: String| async move { Ok(text) });
    let call = |endpoint: &Endpoint<String, String>| endpoint.call(Request::new(Context::background(), String::new()));
    let (one, other) = (say().with(&limits), say().with(&limits));
    for endpoint in [one.clone(), one.clone(), one.clone()] {
        call(&endpoint).await.unwrap();
    }
    assert_eq!(call(&one).await.unwrap_err().message(), "rate limit exceeded");
    call(&other).await.unwrap();

    // One limit around two methods.
    let limit = limit(&RateLimitConfig::of(1, SECOND));
    let layer = || RateLimitLayer::new(&limit);
    let around = |endpoint: Endpoint<String, String>| {
        endpoint.wrap(layer().info(), |inner| tower::Layer::layer(&layer(), inner))
    };
    let (one, other) = (around(say()), around(say()));
    call(&one).await.unwrap();
    call(&other).await.unwrap_err();

    // The same, as a middleware.
    let (one, other) = (say().with(&limit), say().with(&limit));
    advance(SECOND).await;
    call(&one).await.unwrap();
    call(&other).await.unwrap_err();

    // None at all.
    let none = say().wrap(RateLimitLayer::none().info(), |inner| tower::Layer::layer(&RateLimitLayer::none(), inner));
    assert!(none.layers().is_empty());
    for _ in 0..100 {
        call(&none).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_does_not_reach_the_service_and_a_stream_counts_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let method = Method::from(MethodInfo::new("demo.Demo", "Watch", MethodKind::ServerStreaming));
    let watch = Endpoint::from_fn(method, move |_, text: String| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Streaming::from_iter([text.clone(), text.clone(), text])) }
    });
    let config = RateLimitConfig::of(2, SECOND).with_headers(RateLimitHeaders::All);
    let watch = watch.with(&RateLimits::new(&config).unwrap());
    let call = || watch.call(Request::new(Context::background(), "a".to_owned()));
    for left in ["1", "0"] {
        let response = call().await.unwrap();
        assert_eq!(response.metadata().get("ratelimit-remaining"), Some(left));
        let mut messages = response.into_message();
        while messages.message().await.unwrap().is_some() {}
    }
    call().await.unwrap_err();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn headers_are_where_they_are_wanted() {
    for (headers, on_answers, on_errors) in [
        (RateLimitHeaders::None, false, false),
        (RateLimitHeaders::Refusals, false, true),
        (RateLimitHeaders::All, true, true),
    ] {
        for ours in [true, false] {
            let limits = RateLimits::new(&RateLimitConfig::of(2, SECOND).with_headers(headers)).unwrap();
            let limits = if ours { limits } else { limits.without_headers() };
            let say = Endpoint::from_fn(method(), |_, text: String| async move {
                if text.is_empty() { Err(Error::not_found("nothing")) } else { Ok(text) }
            });
            let say = say.with(&limits);
            let call = |text: &str| say.call(Request::new(Context::background(), text.to_owned()));
            let answer = call("a").await.unwrap();
            assert_eq!(answer.metadata().get("ratelimit-remaining").is_some(), on_answers && ours, "{headers:?}");
            // An error of the service is an answer, too.
            let error = call("").await.unwrap_err();
            assert_eq!(error.metadata().get("ratelimit-remaining").is_some(), on_answers && ours, "{headers:?}");
            let refusal = call("a").await.unwrap_err();
            assert_eq!(refusal.code(), Code::ResourceExhausted);
            assert_eq!(refusal.metadata().get("ratelimit-reset").is_some(), on_errors && ours, "{headers:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_anywhere_is_one_call() {
    for polls in 0..5 {
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        let limit = limit(&RateLimitConfig::of(10, SECOND));
        let say = Endpoint::from_fn(method(), move |_, text: String| {
            let held = Arc::clone(&inner);
            async move {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                drop(held);
                Ok(text)
            }
        });
        let layer = RateLimitLayer::new(&limit);
        let say = say.wrap(layer.info(), |inner| tower::Layer::layer(&layer, inner));
        {
            let mut call = pin!(say.call(Request::new(Context::background(), String::new())));
            for at in 0..polls {
                let ready = futures_util::poll!(call.as_mut()).is_ready();
                assert_eq!(ready, at == 3);
                if ready {
                    break;
                }
            }
        }
        assert_eq!(limit.remaining(), 10 - u64::from(polls > 0), "after {polls} polls");
        drop(say);
        assert_eq!(Arc::strong_count(&held), 1, "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_have_limits_of_their_own() {
    let limit = limit(&by_header());
    assert_eq!(burst(&limit, &with_header("a")).await, 2);
    assert_eq!(burst(&limit, &with_header("b")).await, 2);
    assert_eq!(burst(&limit, &Context::background()).await, 2, "those without a key share one");
    assert_eq!(limit.figures().keys, 3);
    advance(SECOND / 2).await;
    assert_eq!(burst(&limit, &with_header("a")).await, 1);

    let tenants = RateLimit::by("tenants", &RateLimitConfig::of(2, SECOND), |cx| {
        cx.metadata().get("x-api-key")?.split('-').next().map(Into::into)
    })
    .unwrap();
    assert_eq!(burst(&tenants, &with_header("a-1")).await, 2);
    assert_eq!(burst(&tenants, &with_header("a-2")).await, 0);
    let error = RateLimit::by("tenants", &by_header(), |_| None).unwrap_err();
    assert!(error.message().contains("key is header:x-api-key, but the program chooses keys"), "{error}");
    assert!(tenants.reconfigure(&by_header()).is_err());
}

#[cfg(any(feature = "grpc", feature = "http"))]
#[tokio::test(start_paused = true)]
async fn peers_are_told_apart_by_address_and_by_network() {
    use crate::{Metadata, Peer, RequestId, Transport};

    let limit = limit(&RateLimitConfig::of(2, SECOND).with_key(RateLimitKey::Peer));
    let from = |address: &str| {
        let peer = Peer { address: Some(address.parse().unwrap()), ..Peer::default() };
        let id = RequestId::random();
        Context::arrived(method(), Transport::Grpc, Metadata::new(), None, id, Some(Arc::new(peer)))
    };
    for (address, admitted) in [
        ("192.0.2.1:1000", 2),
        ("192.0.2.1:2000", 0),
        ("[::ffff:192.0.2.1]:1", 0),
        ("192.0.2.2:1000", 2),
        ("[2001:db8:1:2::1]:1", 2),
        ("[2001:db8:1:2:ffff::9]:1", 0),
        ("[2001:db8:1:3::1]:1", 2),
    ] {
        assert_eq!(burst(&limit, &from(address)).await, admitted, "{address}");
    }
    assert_eq!(burst(&limit, &Context::background()).await, 2, "those without an address share one");
}

#[tokio::test(start_paused = true)]
async fn one_caller_cannot_have_its_debt_forgiven_by_making_up_keys() {
    let limit = limit(&by_header().with_max_keys(3));
    assert_eq!(burst(&limit, &with_header("attacker")).await, 2);
    assert_eq!(burst(&limit, &with_header("honest")).await, 2);
    let mut admitted = 0;
    for number in 0..1000 {
        admitted += usize::from(limit.admit(&with_header(&number.to_string())).await.is_ok());
    }
    // One found room, the others share two.
    assert_eq!(admitted, 3);
    let figures = limit.figures();
    assert_eq!((figures.keys, figures.overflow), (3, 999));
    assert_eq!(burst(&limit, &with_header("attacker")).await, 0);
    assert_eq!(burst(&limit, &with_header("honest")).await, 0);
    advance(2 * SECOND).await;
    assert_eq!(burst(&limit, &with_header("new")).await, 2);
    assert_eq!(limit.figures().keys, 1);
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_calls_are_made() {
    let limit = limit(&RateLimitConfig::of(1, Duration::from_secs(3600)));
    let cx = Context::background();
    assert_eq!(burst(&limit, &cx).await, 1);
    let wrong = limit.reconfigure(&RateLimitConfig::of(0, SECOND)).unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().starts_with("rate_limit.limit is 0, which admits no call"), "{wrong}");
    assert_eq!(limit.config().limit, 1, "a bad change changes nothing");
    // An hour of debt is worth the new largest debt, a second, not an hour.
    limit.reconfigure(&RateLimitConfig::of(10, SECOND)).unwrap();
    assert_eq!(limit.admit(&cx).await.unwrap_err().retry_delay(), Some(Duration::from_millis(100)));
    advance(SECOND).await;
    assert_eq!(burst(&limit, &cx).await, 10);
    // The same limit by key: what is owed without one is that of the overflow now.
    limit.reconfigure(&by_header()).unwrap();
    assert_eq!(burst(&limit, &with_header("a")).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_debug_port_sees_and_changes_it() {
    let limit = limit(&by_header());
    let info = RateLimitLayer::new(&limit).info().unwrap();
    assert_eq!(info.name(), "rate_limit");
    let settings = info.settings();
    assert_eq!(
        (&settings["limit"], &settings["burst"], &settings["key"]),
        (&2.into(), &2.into(), &"header:x-api-key".into())
    );
    burst(&limit, &with_header("a")).await;
    let state = info.state().unwrap();
    assert_eq!(
        (&state["keys"], &state["rejected"], &state["overflow"]["remaining"]),
        (&1.into(), &1.into(), &2.into())
    );

    info.change(&json!({ "reset": true })).unwrap();
    assert_eq!(burst(&limit, &with_header("a")).await, 2);
    info.change(&json!({ "limit": 4, "key": "none" })).unwrap();
    assert_eq!(burst(&limit, &with_header("a")).await, 4);
    let state = info.state().unwrap();
    assert_eq!((&state["remaining"], &state["next_free_slot_in"]), (&0.into(), &"250ms".into()));
    info.change(&json!({ "limit": 2, "burst": 7, "reset": true })).unwrap();
    assert_eq!(burst(&limit, &Context::background()).await, 7);
    info.change(&json!({ "burst": null })).unwrap();
    assert_eq!(info.settings()["burst"], 2);

    for (change, why) in [
        (json!({ "limit": 0 }), "limit is 0"),
        (json!({ "limit": -1 }), "rate_limit.limit: invalid value"),
        (json!({ "per": "-1s" }), "rate_limit.per: "),
        (json!({ "lmit": 1, "brst": null }), "rate_limit.brst: unknown field `brst`"),
        (json!({ "lmit": 1 }), "rate_limit.lmit: unknown field `lmit`"),
        (json!({ "reset": 1 }), "reset is 1"),
        (json!(3), "a change is an object"),
    ] {
        let error = info.change(&change).unwrap_err();
        assert!(error.code() == Code::InvalidArgument && error.message().contains(why), "{change}: {error}");
    }
    assert_eq!(limit.config().limit, 2);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn nobody_sees_the_password_of_the_store() {
    let shared = SharedConfig::at("redis://user:pa55@127.0.0.1:1/3");
    let limit = limit(&RateLimitConfig::default().with_shared(shared));
    let info = RateLimitLayer::new(&limit).info().unwrap();
    let shown = format!("{} {} {limit:?}", info.settings(), info.state().unwrap());
    assert!(!shown.contains("pa55") && shown.contains("redis://127.0.0.1:1/3"), "{shown}");
    // A change of something else leaves it as it is.
    info.change(&json!({ "limit": 3 })).unwrap();
    assert_eq!(limit.config().shared.unwrap().url, "redis://user:pa55@127.0.0.1:1/3");
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_shared_limit_needs_the_feature() {
    let config = RateLimitConfig::default().with_shared(SharedConfig::at("redis://localhost"));
    assert!(RateLimit::new(&config).unwrap_err().message().contains("build kit with the feature redis"));
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_all_methods_change_together() {
    let limits = RateLimits::new(&RateLimitConfig::of(1, SECOND)).unwrap();
    let say = || Endpoint::from_fn(method(), |_, text: String| async move { Ok(text) });
    let (one, other, gone) = (say().with(&limits), say().with(&limits), say().with(&limits.clone()));
    drop(gone);
    let admitted = async |endpoint: &Endpoint<String, String>| {
        let mut admitted = 0;
        while endpoint.call(Request::new(Context::background(), String::new())).await.is_ok() {
            admitted += 1;
        }
        admitted
    };
    assert_eq!((admitted(&one).await, admitted(&other).await), (1, 1));
    let error = limits.reconfigure(&RateLimitConfig::of(0, SECOND)).unwrap_err();
    assert!(error.message().starts_with("rate_limit.limit is 0"), "{error}");
    assert_eq!(limits.config().limit, 1);
    limits.reconfigure(&RateLimitConfig::of(3, SECOND)).unwrap();
    assert_eq!((limits.config().limit, one.layers()[0].settings()["limit"].clone()), (3, json!(3)));
    advance(10 * SECOND).await;
    let new = say().with(&limits);
    assert_eq!((admitted(&one).await, admitted(&other).await, admitted(&new).await), (3, 3, 3));
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn the_figures_of_a_method_are_those_of_all_its_limits() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let metrics = Metrics::new();
    let limits = RateLimits::new(&RateLimitConfig::of(1, SECOND)).unwrap();
    limits.observe(&metrics, &method(), Side::Client).unwrap();
    let say = |name: &'static str| {
        let method = Method::from(MethodInfo::new("demo.Demo", name, MethodKind::Unary));
        Endpoint::from_fn(method, |_, text: String| async move { Ok(text) }).with(&limits)
    };
    let endpoints = [say("Say"), say("Say"), say("Other")];
    for endpoint in &endpoints {
        for _ in 0..3 {
            let _ = endpoint.call(Request::new(Context::background(), String::new())).await;
        }
    }
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let line = |value| {
        format!(
            "kit_rate_limit_rejected_total{{rpc_method=\"Say\",rpc_service=\"demo.Demo\",side=\"client\"}} {value}\n"
        )
    };
    assert!(text().contains(&line(4)), "{}", text());
    drop((endpoints, limits));
    assert!(text().contains(&line(0)), "{}", text());
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn what_it_does_is_counted_and_does_not_keep_it_alive() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let metrics = Metrics::new();
    let limit = limit(&by_header().with_max_keys(1));
    limit.observe(&metrics, &method(), Side::Server).unwrap();
    burst(&limit, &with_header("a")).await;
    burst(&limit, &with_header("b")).await;
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let labels = "{rpc_method=\"Say\",rpc_service=\"demo.Demo\",side=\"server\"}";
    for (name, value) in [
        ("kit_rate_limit_rejected_total", 2),
        ("kit_rate_limit_overflow_total", 3),
        ("kit_rate_limit_keys", 1),
        ("kit_rate_limit_shared_errors_total", 0),
        ("kit_rate_limit_shared_fallbacks_total", 0),
    ] {
        let line = format!("{name}{labels} {value}\n");
        assert!(text().contains(&line), "{line}{}", text());
    }
    let weak = Arc::downgrade(&limit.0);
    drop(limit);
    assert!(weak.upgrade().is_none());
    assert!(text().contains(&format!("kit_rate_limit_rejected_total{labels} 0\n")));
}

/// A service that is not ready until it was polled: the one that was polled has to take the call.
#[tokio::test]
async fn readiness_is_that_of_the_service_inside() {
    use tower::{Service as _, ServiceExt as _, service_fn};

    let limit = limit(&RateLimitConfig::of(1, SECOND));
    let inner = tower::limit::ConcurrencyLimit::new(
        service_fn(|_: Request<String>| async { Ok::<_, Error>(Response::new("a".to_owned())) }),
        1,
    );
    let mut service = tower::Layer::layer(&RateLimitLayer::new(&limit), inner);
    let request = || Request::new(Context::background(), String::new());
    let running = service.ready().await.unwrap().call(request());
    assert!(matches!(futures_util::poll!(std::future::poll_fn(|cx| service.poll_ready(cx))), Poll::Pending));
    running.await.unwrap();
    let refused = service.ready().await.unwrap().call(request());
    assert_eq!(refused.await.unwrap_err().code(), Code::ResourceExhausted);
}
