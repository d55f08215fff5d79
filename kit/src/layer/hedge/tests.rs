use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::{
    Code, Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind, Request, Streaming,
    layer::retry::{BudgetConfig, Retry, RetryConfig},
};

const MS: Duration = Duration::from_millis(1);

fn method(kind: MethodKind, idempotency: Idempotency) -> Method {
    Method::from(MethodInfo { idempotency, ..MethodInfo::new("demo.Demo", "Read", kind) })
}

fn read() -> Method {
    method(MethodKind::Unary, Idempotency::NoSideEffects)
}

/// What a replica does with a request: how long it takes, and how it ends.
type Plan = (Duration, Result<&'static str, Code>);

/// Replicas, one for each request in order; the last one has all that follow.
#[derive(Clone)]
struct Replicas {
    plans: Arc<Vec<Plan>>,
    seen: Arc<Mutex<Vec<(u32, u128)>>>,
    open: Arc<AtomicUsize>,
    start: Instant,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Replicas {
    fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        Self {
            plans: Arc::new(plans.into_iter().collect()),
            seen: Arc::default(),
            open: Arc::default(),
            start: Instant::now(),
        }
    }

    fn endpoint(&self, method: Method) -> Endpoint<String, String> {
        let this = self.clone();
        Endpoint::from_fn(method, move |cx: Context, _: String| {
            let number = {
                let mut seen = this.seen.lock().unwrap();
                seen.push((cx.previous_attempts(), this.start.elapsed().as_millis()));
                seen.len() - 1
            };
            this.open.fetch_add(1, Ordering::Relaxed);
            let open = Open(Arc::clone(&this.open));
            let (takes, ends) = *this.plans.get(number).or(this.plans.last()).unwrap();
            async move {
                let _open = open;
                sleep(takes).await;
                ends.map(str::to_owned).map_err(|code| Error::new(code, "no"))
            }
        })
    }

    fn seen(&self) -> Vec<(u32, u128)> {
        self.seen.lock().unwrap().clone()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

fn after(delay: Duration) -> HedgeConfig {
    HedgeConfig { delay: Some(delay), ..HedgeConfig::default() }
}

fn hedge(config: &HedgeConfig) -> Hedge {
    Hedge::new(config).unwrap()
}

async fn call(endpoint: &Endpoint<String, String>) -> Result<String, Error> {
    Ok(endpoint.call(Request::new(Context::background(), "book".to_owned())).await?.into_message())
}

fn count(endpoint: &Endpoint<String, String>, name: &str) -> u64 {
    endpoint.layers()[0].state().unwrap()[name].as_u64().unwrap()
}

fn counts(endpoint: &Endpoint<String, String>) -> [u64; 4] {
    ["won", "lost", "failed", "budget_exhausted"].map(|name| count(endpoint, name))
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins_and_the_other_is_dropped() {
    for (plans, answer, at, outcome) in [
        // Fast enough: there is no second request.
        (vec![(10 * MS, Ok("first"))], "first", 10, [0, 0, 0, 0]),
        (vec![(500 * MS, Ok("first")), (30 * MS, Ok("second"))], "second", 50, [1, 0, 0, 0]),
        (vec![(40 * MS, Ok("first")), (30 * MS, Ok("second"))], "first", 40, [0, 1, 0, 0]),
    ] {
        let replicas = Replicas::new(plans);
        let endpoint = replicas.endpoint(read()).with(&hedge(&after(20 * MS)));
        assert_eq!(call(&endpoint).await.unwrap(), answer);
        assert_eq!((replicas.start.elapsed().as_millis(), replicas.open()), (at, 0));
        assert_eq!(counts(&endpoint), outcome, "{answer} at {at}");
        let requests: &[(u32, u128)] = if at == 10 { &[(0, 0)] } else { &[(0, 0), (1, 20)] };
        assert_eq!(replicas.seen(), requests);
    }
}

/// The loser is cancelled by the answer, not when somebody drops the future.
#[tokio::test(start_paused = true)]
async fn the_loser_is_gone_when_the_answer_is_there() {
    let replicas = Replicas::new([(500 * MS, Ok("first")), (30 * MS, Ok("second"))]);
    let endpoint = replicas.endpoint(read()).with(&hedge(&after(20 * MS)));
    let mut running = Box::pin(endpoint.call(Request::new(Context::background(), String::new())));
    running.as_mut().await.unwrap();
    assert_eq!(replicas.open(), 0);
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn an_error_waits_for_the_other_request() {
    let no = Err(Code::Unavailable);
    for (plans, outcome, at, counted) in [
        (vec![(30 * MS, no), (30 * MS, Ok("second"))], Ok("second"), 50, [1, 0, 0, 0]),
        (vec![(60 * MS, Ok("first")), (10 * MS, no)], Ok("first"), 60, [0, 0, 1, 0]),
        // Both fail: the last error counts.
        (vec![(30 * MS, Err(Code::Internal)), (30 * MS, no)], no, 50, [0, 0, 1, 0]),
        // The first fails before the second is sent: to try again is not for a hedge.
        (vec![(10 * MS, no), (MS, Ok("second"))], no, 10, [0, 0, 0, 0]),
        // A mistake of the caller is an answer.
        (vec![(60 * MS, Ok("first")), (10 * MS, Err(Code::NotFound))], Err(Code::NotFound), 30, [1, 0, 0, 0]),
    ] {
        let replicas = Replicas::new(plans);
        let endpoint = replicas.endpoint(read()).with(&hedge(&after(20 * MS)));
        let result = call(&endpoint).await;
        assert_eq!(result.as_deref().map_err(Error::code), outcome);
        assert_eq!((replicas.start.elapsed().as_millis(), counts(&endpoint)), (at, counted), "{outcome:?}");
        assert_eq!(replicas.open(), 0);
    }
    let replicas = Replicas::new([(30 * MS, no)]);
    let error = call(&replicas.endpoint(read()).with(&hedge(&after(20 * MS)))).await.unwrap_err();
    assert_eq!(error.to_log().to_string(), "UNAVAILABLE: no (2 requests)");
}

#[tokio::test(start_paused = true)]
async fn there_may_be_more_than_two() {
    let replicas = Replicas::new([(500 * MS, Ok("first")), (500 * MS, Ok("second")), (5 * MS, Ok("third"))]);
    let config = HedgeConfig { max_attempts: 4, ..after(20 * MS) };
    let endpoint = replicas.endpoint(read()).with(&hedge(&config));
    assert_eq!(call(&endpoint).await.unwrap(), "third");
    assert_eq!(replicas.seen(), [(0, 0), (1, 20), (2, 40)]);
    assert_eq!((counts(&endpoint), replicas.open()), ([1, 1, 0, 0], 0));

    // A failure is a reason to send no more.
    let replicas = Replicas::new([(500 * MS, Ok("first")), (5 * MS, Err(Code::Unavailable))]);
    let endpoint = replicas.endpoint(read()).with(&hedge(&config));
    assert_eq!(call(&endpoint).await.unwrap(), "first");
    assert_eq!(replicas.seen(), [(0, 0), (1, 20)]);
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_called_twice_is() {
    let unknown = || method(MethodKind::Unary, Idempotency::Unknown);
    let config = after(20 * MS);
    for (method, config, requests) in [
        (read(), config.clone(), 2),
        (unknown(), config.clone(), 1),
        (unknown(), config.clone().with_method("demo.Demo/Read"), 2),
        (read(), HedgeConfig { max_attempts: 1, ..config.clone() }, 1),
        (read(), HedgeConfig { max_replay: 5, ..config.clone() }, 1),
        (read(), HedgeConfig::default(), 1),
    ] {
        let replicas = Replicas::new([(100 * MS, Ok("slow"))]);
        call(&replicas.endpoint(method).with(&hedge(&config))).await.unwrap();
        assert_eq!(replicas.seen().len(), requests, "{config:?}");
    }
    // One that is a repeated attempt already.
    let replicas = Replicas::new([(100 * MS, Ok("slow"))]);
    let cx = Context::background().with_outgoing("grpc-previous-rpc-attempts", "1").unwrap().next(&read());
    let endpoint = replicas.endpoint(read()).with(&hedge(&config));
    endpoint.call(Request::new(cx, String::new())).await.unwrap();
    assert_eq!(replicas.seen().len(), 1);
    let layer = HedgeLayer::none();
    assert!(layer.info().is_none());
    let endpoint = replicas.endpoint(read()).wrap([], |inner| tower::Layer::layer(&layer, inner));
    call(&endpoint).await.unwrap();
    assert_eq!(replicas.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn streams_pass_through_once() {
    let hedge = hedge(&after(20 * MS));
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let kind = method(MethodKind::ServerStreaming, Idempotency::NoSideEffects);
    let endpoint = Endpoint::from_fn(kind, move |_, text: String| {
        seen.fetch_add(1, Ordering::Relaxed);
        async move {
            sleep(100 * MS).await;
            Ok(Streaming::from_iter([text]))
        }
    });
    let endpoint = endpoint.with(&hedge);
    let answer = endpoint.call(Request::new(Context::background(), "a".to_owned())).await.unwrap();
    assert_eq!(answer.into_message().message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(endpoint.layers()[0].state().unwrap()["hedges"], "never: streams pass through once");
}

#[tokio::test(start_paused = true)]
async fn the_delay_follows_the_calls() {
    let mut plans = vec![(10 * MS, Ok("usual")); 100];
    plans.extend([(500 * MS, Ok("slow")), (3 * MS, Ok("second"))]);
    let replicas = Replicas::new(plans);
    let endpoint = replicas.endpoint(read()).with(&hedge(&HedgeConfig::default()));
    let delay = || endpoint.layers()[0].state().unwrap()["delay"].clone();
    for _ in 0..99 {
        call(&endpoint).await.unwrap();
    }
    assert_eq!(delay(), Value::Null, "too few calls to know it");
    call(&endpoint).await.unwrap();
    let delay = crate::duration::parse(delay().as_str().unwrap()).unwrap();
    assert!((10 * MS..12 * MS).contains(&delay), "{delay:?}");
    let start = Instant::now();
    assert_eq!(call(&endpoint).await.unwrap(), "second");
    assert!((13 * MS..16 * MS).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_that_of_the_retries() {
    let budget = BudgetConfig { ratio: 0.2, per_second: 0.0, burst: 3 };
    let retry = Retry::new(&RetryConfig { budget, ..RetryConfig::default() }).unwrap().with_random(|| 1.0);
    let hedge = hedge(&after(20 * MS)).with_budget(retry.budget());
    // Each request fails after both were sent. The hedge is inside.
    let replicas = Replicas::new([(50 * MS, Err(Code::Unavailable))]);
    let hedged = replicas.endpoint(read()).with(&hedge);
    let endpoint = hedged.clone().with(&retry);
    call(&endpoint).await.unwrap_err();
    let previous: Vec<_> = replicas.seen().iter().map(|(previous, _)| *previous).collect();
    assert_eq!(previous, [0, 1, 1, 2], "the first attempt is hedged, and two follow");
    assert_eq!(retry.budget().left(), 0.0, "all three that were more came out of it");
    let error = call(&endpoint).await.unwrap_err();
    assert_eq!((replicas.seen().len(), counts(&hedged)), (5, [0, 0, 1, 1]));
    assert_eq!(retry.budget().left(), 0.2, "a call that passes both layers is counted once");
    assert!(error.to_log().to_string().contains("the retry budget is used up"), "{}", error.to_log());
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_first_are_bounded() {
    let replicas = Replicas::new([(100 * MS, Ok("slow"))]);
    let endpoint = replicas.endpoint(read()).with(&hedge(&after(20 * MS)));
    let calls = (0..2000).map(|_| call(&endpoint));
    futures_util::future::join_all(calls).await;
    let most = 1.2 * 2000.0 + 100.0 + 10.0 * replicas.start.elapsed().as_secs_f64();
    let seen = replicas.seen().len() as f64;
    assert!(seen <= most && seen > 2000.0, "{seen} of {most}");
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_anywhere() {
    let mut made = Vec::new();
    for polls in 0..6_usize {
        let replicas = Replicas::new([(45 * MS, Ok("slow"))]);
        let budget = BudgetConfig { ratio: 0.2, per_second: 0.0, burst: 10 };
        let hedge = hedge(&HedgeConfig { budget, ..after(20 * MS) });
        let endpoint = replicas.endpoint(read()).with(&hedge);
        let mut call = Box::pin(endpoint.call(Request::new(Context::background(), String::new())));
        for _ in 0..polls {
            if std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await {
                break;
            }
            advance(15 * MS).await;
        }
        drop(call);
        let requests = replicas.seen().len();
        made.push(requests);
        assert_eq!(replicas.open(), 0, "after {polls} polls");
        let more = requests.saturating_sub(1) as u64;
        assert_eq!(hedge.budget().left(), 10.0 - more as f64, "after {polls} polls");
        assert_eq!(counts(&endpoint), [0, more, 0, 0], "after {polls} polls");
    }
    assert_eq!(made, [0, 1, 1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn settings_are_shown_and_changed_while_it_runs() {
    let replicas = Replicas::new([(100 * MS, Ok("slow"))]);
    let hedge = hedge(&after(20 * MS));
    let endpoint = replicas.endpoint(read()).with(&hedge);
    let info = &endpoint.layers()[0];
    assert_eq!((info.name(), &info.settings()["delay"]), ("hedge", &json!("20ms")));
    info.change(&json!({"delay": "200ms"})).unwrap();
    call(&endpoint).await.unwrap();
    assert_eq!((replicas.seen().len(), hedge.config().delay), (1, Some(200 * MS)));
    let error = info.change(&json!({"quantile": 2})).unwrap_err();
    assert_eq!(error.message(), "hedge.quantile is 2: use a number above 0 and below 1, such as 0.95");
    let error = Hedge::new(&HedgeConfig { min_samples: 0, ..HedgeConfig::default() }).unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::InvalidArgument, "hedge.min_samples is zero: a quantile needs samples")
    );
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn requests_are_counted() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let hedge = hedge(&after(20 * MS));
    let metrics = Metrics::new();
    hedge.observe(&metrics, &read(), Side::Client).unwrap();
    let replicas = Replicas::new([(500 * MS, Ok("first")), (30 * MS, Ok("second"))]);
    let endpoint = replicas.endpoint(read()).with(&hedge);
    call(&endpoint).await.unwrap();
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    for line in [
        r#"kit_hedge_attempts_total{outcome="won",rpc_method="Read",rpc_service="demo.Demo",side="client"} 1"#,
        r#"kit_hedge_attempts_total{outcome="lost",rpc_method="Read",rpc_service="demo.Demo",side="client"} 0"#,
        r#"kit_hedge_budget_exhausted_total{rpc_method="Read",rpc_service="demo.Demo",side="client"} 0"#,
        r#"kit_hedge_delay_seconds{rpc_method="Read",rpc_service="demo.Demo",side="client"} 0.02"#,
    ] {
        assert!(text().contains(line), "{line} is not in {}", text());
    }
    drop((hedge, endpoint));
    let line = r#"kit_hedge_attempts_total{outcome="won",rpc_method="Read",rpc_service="demo.Demo",side="client"} 1"#;
    assert!(text().contains(line), "what was counted stays");
    let line = r#"kit_hedge_delay_seconds{rpc_method="Read",rpc_service="demo.Demo",side="client"} 0"#;
    assert!(text().contains(line), "{}", text());
}
