use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::{Code, Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind, Request, Streaming};

const MS: Duration = Duration::from_millis(1);

fn method(kind: MethodKind, idempotency: Idempotency) -> Method {
    Method::from(MethodInfo { idempotency, ..MethodInfo::new("demo.Demo", "Read", kind) })
}

fn read() -> Method {
    method(MethodKind::Unary, Idempotency::NoSideEffects)
}

/// A service that notes the attempts that reach it, and when.
#[derive(Clone)]
struct Upstream {
    seen: Arc<Mutex<Vec<(u32, Duration)>>>,
    start: Instant,
    /// Attempts that run.
    open: Arc<AtomicUsize>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    fn new() -> Self {
        Self { seen: Arc::default(), start: Instant::now(), open: Arc::default() }
    }

    fn note(&self, cx: &Context) -> Open {
        self.seen.lock().unwrap().push((cx.previous_attempts(), self.start.elapsed()));
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.open))
    }

    /// A method whose attempts, counted from 0, end as `answer` says.
    fn endpoint<F, Fut>(&self, method: Method, answer: F) -> Endpoint<String, String>
    where
        F: Fn(usize, Context) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Error>> + Send + 'static,
    {
        let this = self.clone();
        Endpoint::from_fn(method, move |cx: Context, _: String| {
            let attempt = this.attempts();
            let (open, answer) = (this.note(&cx), answer(attempt, cx));
            async move {
                let _open = open;
                answer.await
            }
        })
    }

    /// Fails so often and answers then.
    fn failing(&self, method: Method, times: usize, error: fn() -> Error) -> Endpoint<String, String> {
        self.endpoint(method, move |attempt, _| async move {
            if attempt < times { Err(error()) } else { Ok(format!("attempt {attempt}")) }
        })
    }

    fn attempts(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn times(&self) -> Vec<u128> {
        self.seen.lock().unwrap().iter().map(|(_, at)| at.as_millis()).collect()
    }

    fn previous(&self) -> Vec<u32> {
        self.seen.lock().unwrap().iter().map(|(previous, _)| *previous).collect()
    }
}

fn busy() -> Error {
    Error::unavailable("busy")
}

/// Without chance: each wait is the longest.
fn retry(config: &RetryConfig) -> Retry {
    Retry::new(config).unwrap().with_random(|| 1.0)
}

fn standard() -> Retry {
    retry(&RetryConfig::default())
}

fn request(cx: Context) -> Request<String> {
    Request::new(cx, "book".to_owned())
}

async fn call(endpoint: &Endpoint<String, String>) -> Result<String, Error> {
    Ok(endpoint.call(request(Context::background())).await?.into_message())
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_with_growing_waits() {
    let upstream = Upstream::new();
    let endpoint = upstream.failing(read(), 2, busy).with(&standard());
    assert_eq!(call(&endpoint).await.unwrap(), "attempt 2");
    assert_eq!((upstream.times(), upstream.previous()), (vec![0, 25, 75], vec![0, 1, 2]));
}

#[tokio::test(start_paused = true)]
async fn the_last_error_counts_and_its_log_has_the_attempts() {
    let upstream = Upstream::new();
    let endpoint = upstream.endpoint(read(), |attempt, _| async move {
        Err(Error::unavailable(format!("busy {attempt}")).with_log("shard 3"))
    });
    let error = call(&endpoint.with(&standard())).await.unwrap_err();
    assert_eq!(error.message(), "busy 2");
    assert_eq!(error.to_log().to_string(), "UNAVAILABLE: busy 2 (shard 3; 3 attempts, there may be no more)");
    assert_eq!(upstream.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_repeated_is() {
    let unknown = || method(MethodKind::Unary, Idempotency::Unknown);
    let busy: fn() -> Error = busy;
    let wrong: fn() -> Error = || Error::not_found("no such book");
    for (method, config, error, attempts) in [
        (unknown(), RetryConfig::default(), busy, 1),
        (unknown(), RetryConfig::default().with_method("Read"), busy, 3),
        (read(), RetryConfig::default(), wrong, 1),
        (read(), RetryConfig { max_attempts: 1, ..RetryConfig::default() }, busy, 1),
        (read(), RetryConfig { max_replay: 5, ..RetryConfig::default() }, busy, 1),
        (read(), RetryConfig { max_replay: 6, ..RetryConfig::default() }, busy, 3),
    ] {
        let upstream = Upstream::new();
        let endpoint = upstream.failing(method, 9, error).with(&retry(&config));
        call(&endpoint).await.unwrap_err();
        assert_eq!(upstream.attempts(), attempts, "{config:?} {}", error());
    }
    // A channel that could not connect says so; what a handler passes on of it is an error of the handler.
    for (from_channel, attempts) in [(true, 3), (false, 1)] {
        let upstream = Upstream::new();
        let passed_on = upstream.failing(unknown(), 9, || super::tests::busy().unprocessed());
        let endpoint = if from_channel {
            passed_on.wrap([], |inner| tower::ServiceExt::map_err(inner, Error::unprocessed))
        } else {
            passed_on
        };
        call(&endpoint.with(&standard())).await.unwrap_err();
        assert_eq!(upstream.attempts(), attempts);
    }
    let upstream = Upstream::new();
    let layer = RetryLayer::none();
    assert!(layer.info().is_none());
    let endpoint = upstream.failing(read(), 9, busy).wrap([], |inner| tower::Layer::layer(&layer, inner));
    call(&endpoint).await.unwrap_err();
    assert_eq!(upstream.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_named_time_is_waited_for_unless_the_deadline_comes_first() {
    let refused = || Error::resource_exhausted("slow down").with_retry_delay(300 * MS);
    let upstream = Upstream::new();
    let endpoint = upstream.failing(read(), 1, refused).with(&standard());
    call(&endpoint).await.unwrap();
    assert_eq!(upstream.times(), [0, 325]);

    let upstream = Upstream::new();
    let endpoint = upstream.failing(read(), 1, refused).with(&standard());
    let error = endpoint.call(request(Context::background().with_timeout(325 * MS))).await.unwrap_err();
    assert_eq!((error.code(), upstream.times()), (Code::ResourceExhausted, vec![0]));
    assert_eq!(upstream.start.elapsed(), Duration::ZERO, "the caller is told at once");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_and_made_again() {
    let upstream = Upstream::new();
    let open = Arc::clone(&upstream.open);
    let endpoint = upstream.endpoint(read(), move |attempt, cx| {
        let open = Arc::clone(&open);
        async move {
            assert_eq!(open.load(Ordering::Relaxed), 1, "the one that was given up is cancelled");
            assert_eq!(cx.remaining(), Some(100 * MS), "the service knows how long it has");
            if attempt == 0 {
                sleep(Duration::from_secs(60)).await;
            }
            Ok("late".to_owned())
        }
    });
    let config = RetryConfig { attempt_timeout: Some(100 * MS), ..RetryConfig::default() };
    let endpoint = endpoint.with(&retry(&config));
    assert_eq!(call(&endpoint).await.unwrap(), "late");
    assert_eq!(upstream.times(), [0, 125]);
}

/// Something further in may see the end of the attempt first, and fails with DEADLINE_EXCEEDED, which is no error to retry.
#[tokio::test(start_paused = true)]
async fn it_does_not_matter_who_gives_an_attempt_up() {
    let upstream = Upstream::new();
    let endpoint = upstream.endpoint(read(), |_, cx| async move {
        tokio::time::sleep_until(cx.deadline().unwrap()).await;
        Err(Error::deadline_exceeded("over"))
    });
    let config = RetryConfig { attempt_timeout: Some(100 * MS), ..RetryConfig::default() };
    let endpoint = endpoint.with(&retry(&config));
    let error = call(&endpoint).await.unwrap_err();
    assert_eq!((error.code(), upstream.attempts()), (Code::DeadlineExceeded, 3));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_never_outlasts_the_call() {
    let upstream = Upstream::new();
    let endpoint = upstream.endpoint(read(), |attempt, cx| async move {
        assert_eq!(cx.remaining(), Some(if attempt == 0 { 100 * MS } else { 75 * MS }));
        tokio::time::sleep_until(cx.deadline().unwrap()).await;
        Err(Error::deadline_exceeded("over"))
    });
    let config = RetryConfig { attempt_timeout: Some(100 * MS), ..RetryConfig::default() };
    let endpoint = endpoint.with(&retry(&config));
    let error = endpoint.call(request(Context::background().with_timeout(200 * MS))).await.unwrap_err();
    assert_eq!((error.code(), upstream.times()), (Code::DeadlineExceeded, vec![0, 125]));
    assert_eq!(upstream.start.elapsed(), 200 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_is_not_timed() {
    let upstream = Upstream::new();
    let endpoint = upstream.endpoint(method(MethodKind::Unary, Idempotency::Unknown), |_, cx| async move {
        assert_eq!(cx.deadline(), None);
        sleep(Duration::from_secs(60)).await;
        Ok("done".to_owned())
    });
    let config = RetryConfig { attempt_timeout: Some(100 * MS), ..RetryConfig::default() };
    assert_eq!(call(&endpoint.with(&retry(&config))).await.unwrap(), "done");
}

#[tokio::test(start_paused = true)]
async fn without_budget_there_is_no_retry() {
    let upstream = Upstream::new();
    let budget = BudgetConfig { ratio: 0.2, per_second: 0.0, burst: 1 };
    let retry = retry(&RetryConfig { budget, ..RetryConfig::default() });
    let endpoint = upstream.failing(read(), 99, busy).with(&retry);
    let error = call(&endpoint).await.unwrap_err();
    assert_eq!(error.to_log().to_string(), "UNAVAILABLE: busy (2 attempts, the retry budget is used up)");
    let error = call(&endpoint).await.unwrap_err();
    assert_eq!(error.to_log().to_string(), "UNAVAILABLE: busy (1 attempt, the retry budget is used up)");
    let state = endpoint.layers()[0].state().unwrap();
    assert_eq!(state["retries"], json!({"answered": 0, "failed": 1, "cancelled": 0, "budget_exhausted": 2}));
}

/// Both services of a chain retry, and what is behind fails: each attempt of the first is not multiplied by the second.
#[tokio::test(start_paused = true)]
async fn a_repeated_call_is_not_repeated_one_hop_further() {
    let last = Upstream::new();
    let last_endpoint = last.failing(read(), 99, busy).with(&standard());
    let middle = Upstream::new();
    let middle_endpoint = middle.endpoint(read(), move |_, cx| {
        let last = last_endpoint.clone();
        async move { last.call_next(&cx, String::new()).await }
    });
    call(&middle_endpoint.with(&standard())).await.unwrap_err();
    assert_eq!(middle.previous(), [0, 1, 2]);
    assert_eq!(last.previous(), [0, 1, 2, 1, 2], "three for the first attempt, one for each other");

    // Anybody may say that a call is a repeated one, and it is tried once then.
    let upstream = Upstream::new();
    let endpoint = upstream.failing(read(), 99, busy).with(&standard());
    for (said, attempts) in [("7", 1), ("0", 3), ("many", 3), ("-1", 3)] {
        let before = upstream.attempts();
        let cx = Context::background().with_outgoing("grpc-previous-rpc-attempts", said).unwrap().next(&read());
        endpoint.call(request(cx)).await.unwrap_err();
        assert_eq!(upstream.attempts() - before, attempts, "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_of_requests_pass_through_once() {
    let upstream = Upstream::new();
    let this = upstream.clone();
    let kind = method(MethodKind::ClientStreaming, Idempotency::Idempotent);
    let endpoint: Endpoint<Streaming<String>, String> = Endpoint::from_fn(kind, move |cx: Context, _| {
        drop(this.note(&cx));
        async move { Err(busy()) }
    });
    let endpoint = endpoint.with(&standard());
    let lines = Streaming::from_iter(["a".to_owned()]);
    endpoint.call(Request::new(Context::background(), lines)).await.unwrap_err();
    assert_eq!(upstream.attempts(), 1);
    let state = endpoint.layers()[0].state().unwrap();
    assert_eq!(state["repeats"], "never: the stream of requests passes through once");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_answers_that_has_begun_is_not_asked_for_again() {
    let upstream = Upstream::new();
    let this = upstream.clone();
    let kind = method(MethodKind::ServerStreaming, Idempotency::Idempotent);
    let endpoint = Endpoint::from_fn(kind, move |cx: Context, _: String| {
        let attempt = this.attempts();
        drop(this.note(&cx));
        async move {
            assert_eq!(cx.deadline(), None, "the time of an attempt is over when it answers");
            if attempt == 0 {
                return Err(busy());
            }
            Ok(Streaming::<String>::new(futures_util::stream::iter([Ok("a".to_owned()), Err(busy())])))
        }
    });
    let config = RetryConfig { attempt_timeout: Some(100 * MS), ..RetryConfig::default() };
    let endpoint = endpoint.with(&retry(&config));
    let mut stream = endpoint.call(request(Context::background())).await.unwrap().into_message();
    assert_eq!(stream.message().await.unwrap().as_deref(), Some("a"));
    stream.message().await.unwrap_err();
    assert_eq!(upstream.attempts(), 2);
}

/// What an attempt that failed left for its answer is not in that of another.
#[tokio::test(start_paused = true)]
async fn attempts_have_answers_of_their_own() {
    let upstream = Upstream::new();
    let endpoint = upstream.endpoint(read(), |attempt, cx| async move {
        cx.set_response_metadata("x-attempt", &attempt.to_string())?;
        if attempt == 0 {
            sleep(Duration::from_secs(60)).await;
        }
        Ok(String::new())
    });
    let config = RetryConfig { attempt_timeout: Some(100 * MS), ..RetryConfig::default() };
    let answer = endpoint.with(&retry(&config)).call(request(Context::background())).await.unwrap();
    assert_eq!(answer.metadata().get_all("x-attempt").collect::<Vec<_>>(), ["1"]);
}

/// Wherever a caller goes away, no attempt goes on, and what was not used of the budget is there again.
#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_anywhere() {
    let mut made = Vec::new();
    for polls in 0..8_u64 {
        let upstream = Upstream::new();
        let endpoint = upstream.endpoint(read(), |_, _| async {
            sleep(20 * MS).await;
            Err(busy())
        });
        let budget = BudgetConfig { ratio: 0.2, per_second: 0.0, burst: 10 };
        let retry = retry(&RetryConfig { budget, ..RetryConfig::default() });
        let endpoint = endpoint.with(&retry);
        let mut call = Box::pin(endpoint.call(request(Context::background())));
        let mut ended = false;
        for _ in 0..polls {
            ended = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
            if ended {
                break;
            }
            advance(25 * MS).await;
        }
        drop(call);
        let attempts = upstream.attempts();
        made.push(attempts);
        assert_eq!(upstream.open.load(Ordering::Relaxed), 0, "after {polls} polls");
        let retries = attempts.saturating_sub(1);
        // 10 and what the call added, which is cut off at a full budget.
        assert_eq!(retry.budget().left(), 10.0 - retries as f64, "after {polls} polls");
        let state = endpoint.layers()[0].state().unwrap();
        let count = |name: &str| state["retries"][name].as_u64().unwrap();
        assert_eq!(count("failed") + count("cancelled"), retries as u64, "after {polls} polls");
        assert_eq!(ended, attempts == 3 && count("cancelled") == 0);
    }
    assert_eq!((made.first(), made.last()), (Some(&0), Some(&3)), "{made:?}");
    assert!(made.contains(&1) && made.contains(&2), "{made:?}");
}

/// A service that fails everything gets a fifth more of the calls, ten more a second, and once what was saved up.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_gets_no_storm() {
    let upstream = Upstream::new();
    let retry = Retry::new(&RetryConfig { max_attempts: 5, ..RetryConfig::default() }).unwrap();
    let failing = upstream.failing(read(), usize::MAX, busy);
    // Two methods, each with clones of its own, and one budget.
    let (one, other) = (failing.clone().with(&retry), failing.with(&retry));
    let mut calls = 0;
    for wave in 0..5_u64 {
        let running = (0..1000).map(|n| {
            let endpoint = if n % 2 == 0 { one.clone() } else { other.clone() };
            async move { call(&endpoint).await.unwrap_err() }
        });
        futures_util::future::join_all(running).await;
        calls += 1000;
        let most = 1.2 * f64::from(calls) + 100.0 + 10.0 * upstream.start.elapsed().as_secs_f64();
        let seen = upstream.attempts();
        assert!(seen as f64 <= most, "{seen} of {most}");
        assert!(seen as f64 > 1.19 * f64::from(calls), "the budget is used: {seen}");
        advance(wave as u32 * 100 * MS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn settings_are_shown_and_changed_while_it_runs() {
    let upstream = Upstream::new();
    let retry = standard();
    let endpoint = upstream.failing(read(), 99, busy).with(&retry);
    let info = &endpoint.layers()[0];
    assert_eq!((info.name(), &info.settings()["max_attempts"]), ("retry", &json!(3)));
    assert_eq!(info.state().unwrap()["repeats"], "always");
    info.change(&json!({"max_attempts": 2, "budget": {"burst": 7}})).unwrap();
    assert_eq!((retry.config().max_attempts, retry.budget().left()), (2, 7.0));
    call(&endpoint).await.unwrap_err();
    assert_eq!(upstream.attempts(), 2);
    let error = info.change(&json!({"max_attempts": 0})).unwrap_err();
    assert_eq!(error.message(), "retry.max_attempts is zero: no call would be made; 1 is no retry");
    let error = info.change(&json!({"budget": {"brst": 7}, "max": 1})).unwrap_err();
    assert!(
        error.message().contains("retry.budget.brst: unknown field") && error.message().contains("retry.max: unknown"),
        "{error}"
    );
    assert_eq!(retry.config().max_attempts, 2);

    let budget = RetryBudget::new(&BudgetConfig::default()).unwrap();
    let sharing = standard().with_budget(&budget);
    let endpoint = upstream.failing(read(), 0, busy).with(&sharing);
    endpoint.layers()[0].change(&json!({"max_attempts": 4})).unwrap();
    let error = endpoint.layers()[0].change(&json!({"budget": {"burst": 7}})).unwrap_err();
    assert_eq!((error.code(), budget.config().burst), (Code::FailedPrecondition, 100));
    assert_eq!(
        Retry::new(&RetryConfig { max_attempts: 0, ..RetryConfig::default() }).unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn attempts_are_counted() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let upstream = Upstream::new();
    let budget = BudgetConfig { ratio: 0.2, per_second: 0.0, burst: 2 };
    let retry = retry(&RetryConfig { budget, ..RetryConfig::default() });
    let metrics = Metrics::new();
    retry.observe(&metrics, &read(), Side::Client).unwrap();
    let endpoint = upstream.failing(read(), 2, busy).with(&retry);
    call(&endpoint).await.unwrap();
    // Another endpoint of the same method, by a clone: the same figures.
    let endpoint = upstream.failing(read(), 99, busy).with(&retry.clone());
    call(&endpoint).await.unwrap_err();
    let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    for line in [
        r#"kit_retry_attempts_total{outcome="answered",rpc_method="Read",rpc_service="demo.Demo",side="client"} 1"#,
        r#"kit_retry_attempts_total{outcome="failed",rpc_method="Read",rpc_service="demo.Demo",side="client"} 1"#,
        r#"kit_retry_attempts_total{outcome="cancelled",rpc_method="Read",rpc_service="demo.Demo",side="client"} 0"#,
        r#"kit_retry_budget_exhausted_total{rpc_method="Read",rpc_service="demo.Demo",side="client"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[cfg(feature = "trace")]
#[tokio::test(start_paused = true)]
async fn the_span_of_the_call_tells_of_its_attempts() {
    use crate::trace::{Memory, Sample, TraceConfig, Tracer};

    let spans = Memory::new();
    let config = TraceConfig { sample: Sample::Always, ..TraceConfig::default() };
    let tracer = Tracer::builder(&config, "Test").export(Some(spans.clone())).build();
    let upstream = Upstream::new();
    let endpoint = upstream.failing(read(), 99, busy).with(&standard());
    let open = tracer.receive(&std::collections::BTreeMap::<String, String>::new(), None, "test");
    let cx = Context::background().with_span(open.span());
    endpoint.call(request(cx)).await.unwrap_err();
    drop(open);
    let told: Vec<_> = spans.spans()[0].annotations.iter().map(|told| told.value.to_string()).collect();
    assert_eq!(
        told,
        [
            "attempt 1 failed with UNAVAILABLE, the next comes in 25ms",
            "attempt 2 failed with UNAVAILABLE, the next comes in 50ms",
            "attempt 3 failed with UNAVAILABLE, there may be no more",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_both_ways_passes_through() {
    let kind = method(MethodKind::BidiStreaming, Idempotency::Idempotent);
    let echo = Endpoint::from_fn(kind, |_, lines: Streaming<String>| async move { Ok(lines) }).with(&standard());
    let lines = Streaming::from_iter(["a".to_owned()]);
    let mut answers = echo.call(Request::new(Context::background(), lines)).await.unwrap().into_message();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(answers.message().await.unwrap(), None);
}
