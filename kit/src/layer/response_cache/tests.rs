use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde_json::json;
use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, advance, sleep},
};

use super::*;
use crate::{
    Code, Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind, Request, Response, Streaming,
};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn method_of(name: &'static str, idempotency: Idempotency) -> Method {
    Method::from(MethodInfo { idempotency, ..MethodInfo::new("demo.Demo", name, MethodKind::Unary) })
}

fn read_method() -> Method {
    method_of("Read", Idempotency::NoSideEffects)
}

fn config() -> ResponseCacheConfig {
    ResponseCacheConfig { ttl: 10 * SECOND, jitter: 0.0, ..ResponseCacheConfig::default() }
}

/// A cache whose clock is that of the test.
fn cache(config: &ResponseCacheConfig) -> ResponseCache {
    let start = Instant::now();
    // Not at 1970, or nothing could be cleared.
    let clock = move || SystemTime::UNIX_EPOCH + 1000 * SECOND + start.elapsed();
    ResponseCache::new(config).unwrap().with_clock(clock)
}

/// A service that counts, and fails when it is told to.
#[derive(Clone, Default)]
struct Upstream {
    made: Arc<AtomicUsize>,
    away: Arc<AtomicBool>,
    missing: Arc<AtomicBool>,
    slow: Arc<AtomicBool>,
}

impl Upstream {
    fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    fn away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    fn endpoint(&self, method: Method) -> Endpoint<String, String> {
        let this = self.clone();
        Endpoint::from_fn(method, move |cx: Context, text: String| {
            let (number, this) = (this.made.fetch_add(1, Ordering::Relaxed), this.clone());
            async move {
                cx.set_response_metadata("x-number", &number.to_string())?;
                cx.set_response_metadata("set-cookie", "session=1")?;
                if let Some(wish) = text.strip_prefix("says ") {
                    cx.set_response_metadata("cache-control", wish)?;
                }
                if this.slow.load(Ordering::Relaxed) {
                    sleep(100 * MS).await;
                }
                match (this.away.load(Ordering::Relaxed), this.missing.load(Ordering::Relaxed)) {
                    (true, _) => Err(Error::unavailable("away")),
                    (_, true) => Err(Error::not_found("no book").with_reason("NO_BOOK", "demo")),
                    _ => Ok(format!("{text} {number}")),
                }
            }
        })
    }

    fn cached(&self, cache: &ResponseCache) -> Endpoint<String, String> {
        self.endpoint(read_method()).with(cache)
    }
}

type Outcome = Result<Response<String>, Error>;

async fn ask_with(endpoint: &Endpoint<String, String>, cx: Context, text: &str) -> Outcome {
    endpoint.call(Request::new(cx, text.to_owned())).await
}

async fn ask(endpoint: &Endpoint<String, String>, text: &str) -> Outcome {
    ask_with(endpoint, Context::background(), text).await
}

async fn said(endpoint: &Endpoint<String, String>, text: &str) -> String {
    ask(endpoint, text).await.unwrap().into_message()
}

fn sent(name: &str, value: &str) -> Context {
    let mut cx = Context::background();
    cx.metadata_mut().insert(name, value).unwrap();
    cx
}

fn calls(endpoint: &Endpoint<String, String>, outcome: &str) -> u64 {
    endpoint.layers()[0].state().unwrap()["calls"][outcome].as_u64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time_and_tells_its_age() {
    let (upstream, cache) = (Upstream::default(), cache(&config()));
    let read = upstream.cached(&cache);
    let first = ask(&read, "a").await.unwrap();
    assert_eq!((first.metadata().get("age"), first.metadata().get("set-cookie")), (None, Some("session=1")));
    advance(9999 * MS).await;
    let kept = ask(&read, "a").await.unwrap();
    assert_eq!(kept.message(), "a 0");
    assert_eq!((kept.metadata().get("age"), kept.metadata().get("x-number")), (Some("9"), Some("0")));
    assert_eq!(kept.metadata().get("set-cookie"), None);
    assert_eq!(said(&read, "b").await, "b 1");
    advance(MS).await;
    assert_eq!(said(&read, "a").await, "a 2");
    assert_eq!((calls(&read, "hit"), calls(&read, "miss")), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_the_answer_to_another_caller() {
    let vary = BTreeSet::from(["x-tenant".to_owned()]);
    let (upstream, cache) = (Upstream::default(), cache(&ResponseCacheConfig { vary, ..config() }));
    let read = upstream.cached(&cache);
    for (name, value, number) in [
        ("authorization", "one", 0),
        ("authorization", "other", 1),
        ("authorization", "one", 0),
        ("cookie", "one", 2),
        ("x-tenant", "one", 3),
        ("x-unnamed", "one", 4),
        ("x-unnamed", "other", 4),
    ] {
        let answer = ask_with(&read, sent(name, value), "a").await.unwrap();
        assert_eq!(answer.message(), &format!("a {number}"), "{name} {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_has_no_side_effects_or_is_named_is_kept() {
    for (idempotency, config, made) in [
        (Idempotency::NoSideEffects, config(), 1),
        (Idempotency::Idempotent, config(), 2),
        (Idempotency::Unknown, config(), 2),
        (Idempotency::Unknown, config().with_method("Read", SECOND), 1),
        (Idempotency::NoSideEffects, config().with_method("Read", Duration::ZERO), 2),
        (Idempotency::NoSideEffects, ResponseCacheConfig { url: "off".to_owned(), ..config() }, 2),
        (Idempotency::NoSideEffects, ResponseCacheConfig { max_request: 1, ..config() }, 2),
        (Idempotency::NoSideEffects, ResponseCacheConfig { max_value_bytes: 5, ..config() }, 2),
    ] {
        let upstream = Upstream::default();
        let read = upstream.endpoint(method_of("Read", idempotency)).with(&cache(&config));
        ask(&read, "a").await.unwrap();
        ask(&read, "a").await.unwrap();
        assert_eq!(upstream.made(), made, "{idempotency:?} {config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_may_go_past_the_cache_where_they_are_obeyed() {
    let (upstream, obeying) = (Upstream::default(), cache(&config()));
    let read = upstream.cached(&obeying);
    let refresh = || sent("cache-control", "no-cache");
    assert_eq!(said(&read, "a").await, "a 0");
    assert_eq!(ask_with(&read, refresh(), "a").await.unwrap().into_message(), "a 1");
    assert_eq!(said(&read, "a").await, "a 1", "what it got is kept");
    assert_eq!(ask_with(&read, sent("cache-control", "no-store"), "a").await.unwrap().into_message(), "a 2");
    assert_eq!(said(&read, "a").await, "a 1", "what it got is not kept");
    assert_eq!(calls(&read, "bypassed"), 1);

    let deaf = cache(&ResponseCacheConfig { obey_callers: false, ..config() });
    let read = upstream.cached(&deaf);
    let first = said(&read, "a").await;
    assert_eq!(ask_with(&read, refresh(), "a").await.unwrap().into_message(), first);
}

#[tokio::test(start_paused = true)]
async fn what_the_service_wants_to_itself_is_not_kept() {
    let upstream = Upstream::default();
    let read = upstream.cached(&cache(&config()));
    for text in ["says no-store", "says private", "says no-cache"] {
        assert_ne!(said(&read, text).await, said(&read, text).await);
    }
    assert_eq!(said(&read, "says max-age=1").await, said(&read, "says max-age=1").await);
}

#[tokio::test(start_paused = true)]
async fn errors_are_not_kept() {
    let upstream = Upstream::default();
    let read = upstream.cached(&cache(&config()));
    upstream.away(true);
    ask(&read, "a").await.unwrap_err();
    upstream.away(false);
    upstream.missing.store(true, Ordering::Relaxed);
    ask(&read, "a").await.unwrap_err();
    upstream.missing.store(false, Ordering::Relaxed);
    assert_eq!(said(&read, "a").await, "a 2");
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_is_kept_where_it_is_wanted() {
    let upstream = Upstream::default();
    let read = upstream.cached(&cache(&ResponseCacheConfig { negative_ttl: SECOND, ..config() }));
    upstream.missing.store(true, Ordering::Relaxed);
    ask(&read, "a").await.unwrap_err();
    upstream.missing.store(false, Ordering::Relaxed);
    let error = ask(&read, "a").await.unwrap_err();
    assert_eq!((error.code(), error.message(), upstream.made()), (Code::NotFound, "no book", 1));
    assert_eq!(error.reason().unwrap().reason, "NO_BOOK");
    advance(SECOND).await;
    assert_eq!(said(&read, "a").await, "a 1");
    // Another outage is not kept.
    advance(10 * SECOND).await;
    upstream.away(true);
    ask(&read, "a").await.unwrap_err();
    upstream.away(false);
    assert_eq!(said(&read, "a").await, "a 3");
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_better_than_an_outage_for_a_while() {
    let upstream = Upstream::default();
    let read = upstream.cached(&cache(&ResponseCacheConfig { stale_if_error: 30 * SECOND, ..config() }));
    said(&read, "a").await;
    upstream.away(true);
    advance(39 * SECOND).await;
    let old = ask(&read, "a").await.unwrap();
    assert_eq!((old.message().as_str(), old.metadata().get("age")), ("a 0", Some("39")));
    assert_eq!(old.metadata().get(DEGRADED), Some("stale-if-error"));
    assert_eq!((upstream.made(), calls(&read, "stale")), (2, 1), "it was tried");
    // A mistake of the caller's is no outage.
    upstream.away(false);
    upstream.missing.store(true, Ordering::Relaxed);
    assert_eq!(ask(&read, "a").await.unwrap_err().code(), Code::NotFound);
    upstream.away(true);
    advance(SECOND).await;
    assert_eq!(ask(&read, "a").await.unwrap_err().code(), Code::Unavailable, "too old");
    upstream.away(false);
    upstream.missing.store(false, Ordering::Relaxed);
    let new = ask(&read, "a").await.unwrap();
    assert_eq!(new.metadata().get(DEGRADED), None);
    // Who wants no old answer gets none.
    upstream.away(true);
    advance(11 * SECOND).await;
    ask_with(&read, sent("cache-control", "no-cache"), "a").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn calls_that_miss_together_are_one() {
    let upstream = Upstream::default();
    upstream.slow.store(true, Ordering::Relaxed);
    let read = upstream.cached(&cache(&config()));
    let start = |cx: Context| tokio::spawn(read.call(Request::new(cx, "a".to_owned())));
    let mut waiting: Vec<JoinHandle<Outcome>> = (0..5).map(|_| start(Context::background())).collect();
    yield_now().await;
    let hasty = start(Context::background().with_timeout(10 * MS));
    assert_eq!(hasty.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    // The one whose call is made goes away; another makes it.
    waiting.remove(0).abort();
    let mut cookies = 0;
    for call in waiting {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.message(), "a 1");
        cookies += usize::from(answer.metadata().get("set-cookie").is_some());
    }
    assert_eq!((cookies, upstream.made()), (1, 2));
    assert_eq!((calls(&read, "shared"), calls(&read, "miss")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_wants_a_new_answer_does_not_wait_for_an_older_one() {
    let upstream = Upstream::default();
    upstream.slow.store(true, Ordering::Relaxed);
    let read = upstream.cached(&cache(&config()));
    let older = tokio::spawn(read.call(Request::new(Context::background(), "a".to_owned())));
    yield_now().await;
    advance(50 * MS).await;
    let newer = ask_with(&read, sent("cache-control", "no-cache"), "a").await.unwrap();
    assert_eq!(newer.message(), "a 1");
    assert_eq!(older.await.unwrap().unwrap().into_message(), "a 0");
    assert_eq!(said(&read, "a").await, "a 1", "the older one was not kept");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_by_key_by_method_and_for_all() {
    let (upstream, cache) = (Upstream::default(), cache(&config()));
    let read = upstream.cached(&cache);
    let list = upstream.endpoint(method_of("List", Idempotency::NoSideEffects)).with(&cache);
    let fill = async || {
        advance(MS).await;
        [said(&read, "a").await, said(&read, "b").await, said(&list, "a").await]
    };
    let before = fill().await;
    assert_eq!(fill().await, before);

    cache.invalidate(&read_method(), &Context::background(), &"a".to_owned()).await;
    let after = fill().await;
    assert_eq!((&after[1..], after[0] == before[0]), (&before[1..], false));

    cache.clear_method(&read_method());
    let cleared = fill().await;
    assert!(cleared[0] != after[0] && cleared[1] != after[1] && cleared[2] == after[2], "{cleared:?}");
    assert_eq!(fill().await, cleared, "what is made after that is kept");

    let info = read.layers()[0].clone();
    for wrong in [json!({"clear": false}), json!({"ttl": "1s"}), json!({"clear": true, "ttl": "1s"}), json!(true)] {
        assert_eq!(info.change(&wrong).unwrap_err().code(), Code::InvalidArgument, "{wrong}");
    }
    assert_eq!(fill().await, cleared);
    info.change(&json!({"clear": true})).unwrap();
    let controlled = fill().await;
    assert!(controlled[0] != cleared[0] && controlled[2] == cleared[2]);

    cache.clear().await.unwrap();
    let all = fill().await;
    assert!(all.iter().zip(&controlled).all(|(new, old)| new != old), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_being_made_while_it_is_cleared_is_not_kept() {
    let (upstream, cache) = (Upstream::default(), cache(&config()));
    upstream.slow.store(true, Ordering::Relaxed);
    let read = upstream.cached(&cache);
    for clear in [true, false] {
        let older = tokio::spawn(read.call(Request::new(Context::background(), "a".to_owned())));
        yield_now().await;
        advance(50 * MS).await;
        if clear {
            cache.clear_method(&read_method());
        } else {
            cache.invalidate(&read_method(), &Context::background(), &"a".to_owned()).await;
        }
        let older = older.await.unwrap().unwrap().into_message();
        assert_ne!(said(&read, "a").await, older);
        cache.clear().await.unwrap();
        advance(MS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_methods_of_one_name_do_not_share_answers() {
    let (upstream, cache) = (Upstream::default(), cache(&config()));
    let other = MethodInfo::new("other.Demo", "Read", MethodKind::Unary);
    let other = Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..other });
    let (one, other) = (upstream.cached(&cache), upstream.endpoint(other).with(&cache));
    assert_ne!(said(&one, "a").await, said(&other, "a").await);
    // Of one method they do, however often it is put around.
    assert_eq!(said(&one, "a").await, said(&upstream.cached(&cache), "a").await);
}

#[tokio::test]
async fn streams_pass_through_and_the_layer_says_so() {
    let info = MethodInfo::new("demo.Demo", "Count", MethodKind::ServerStreaming);
    let method = Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..info });
    let count =
        Endpoint::from_fn(method, |_, text: String| async move { Ok::<_, Error>(Streaming::from_iter([text])) });
    let count = count.with(&ResponseCache::new(&config()).unwrap());
    for _ in 0..2 {
        let mut answer = count.call(Request::new(Context::background(), "a".to_owned())).await.unwrap().into_message();
        assert_eq!(answer.message().await.unwrap(), Some("a".to_owned()));
    }
    assert_eq!(count.layers()[0].state().unwrap()["keeps"], "never: streams pass through");
    assert!(ResponseCacheLayer::none().info().is_none());
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn the_layer_does_not_tell_the_password_of_its_store() {
    let url = "redis://:pa55word@127.0.0.1:1/0".to_owned();
    let read = Upstream::default().cached(&ResponseCache::new(&ResponseCacheConfig { url, ..config() }).unwrap());
    let shown = format!("{} {}", read.layers()[0].settings(), read.layers()[0].state().unwrap());
    assert!(shown.contains("127.0.0.1") && !shown.contains("pa55word"), "{shown}");
    // It is away: calls are made.
    assert_eq!(said(&read, "a").await, "a 0");
    assert_eq!(said(&read, "a").await, "a 1");
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn figures_are_told_to_prometheus() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let (metrics, cache) = (Metrics::new(), cache(&config()));
    cache.observe(&metrics, &read_method(), Side::Server).unwrap();
    let read = Upstream::default().cached(&cache);
    for _ in 0..3 {
        said(&read, "a").await;
    }
    let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let labels = r#"rpc_method="Read",rpc_service="demo.Demo",side="server""#;
    for (outcome, count) in [("hit", 2), ("miss", 1), ("stale", 0)] {
        let line = format!(r#"kit_response_cache_calls_total{{outcome="{outcome}",{labels}}} {count}"#);
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(text.contains(r#"kit_cache_hits_total{cache="demo.Demo/Read"} 2"#), "{text}");
}
