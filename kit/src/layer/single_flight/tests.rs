use std::{
    collections::{BTreeSet, HashMap},
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, yield_now},
    time::{Instant, advance, sleep},
};

use super::*;
use crate::{
    Code, Context, Endpoint, Error, Idempotency, Method, MethodInfo, MethodKind, Request, Response, Streaming,
    endpoint::current,
};

const MS: Duration = Duration::from_millis(1);

fn method(name: &'static str, idempotency: Idempotency) -> Method {
    Method::from(MethodInfo { idempotency, ..MethodInfo::new("demo.Demo", name, MethodKind::Unary) })
}

fn read_method() -> Method {
    method("Read", Idempotency::NoSideEffects)
}

/// A service that counts, and answers when it may.
#[derive(Clone)]
struct Upstream {
    begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    may_answer: Arc<Semaphore>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    fn new() -> Self {
        Self { begun: Arc::default(), running: Arc::default(), may_answer: Arc::new(Semaphore::new(0)) }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    fn answers(&self, count: usize) {
        self.may_answer.add_permits(count);
    }

    fn endpoint(
        &self,
        method: Method,
        outcome: impl Fn(usize, String) -> Result<String, Error> + Clone + Send + Sync + 'static,
    ) -> Endpoint<String, String> {
        let this = self.clone();
        Endpoint::from_fn(method, move |cx: Context, text: String| {
            let (number, outcome, this) = (this.begun.fetch_add(1, Ordering::Relaxed), outcome.clone(), this.clone());
            this.running.fetch_add(1, Ordering::Relaxed);
            let open = Open(Arc::clone(&this.running));
            async move {
                let _open = open;
                this.may_answer.acquire().await.unwrap().forget();
                cx.set_response_metadata("set-cookie", "session=1")?;
                cx.set_response_metadata("x-number", &number.to_string())?;
                outcome(number, text)
            }
        })
    }

    fn joined(&self, config: &SingleFlightConfig) -> Endpoint<String, String> {
        self.endpoint(read_method(), |number, text| Ok(format!("{text} {number}")))
            .with(&SingleFlight::new(config).unwrap())
    }
}

type Outcome = Result<Response<String>, Error>;

fn start_with(endpoint: &Endpoint<String, String>, cx: Context, text: &str) -> JoinHandle<Outcome> {
    tokio::spawn(endpoint.call(Request::new(cx, text.to_owned())))
}

fn start(endpoint: &Endpoint<String, String>, text: &str) -> JoinHandle<Outcome> {
    start_with(endpoint, Context::background(), text)
}

fn sent(name: &str, value: &str) -> Context {
    let mut cx = Context::background();
    cx.metadata_mut().insert(name, value).unwrap();
    cx
}

async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn equal_calls_at_the_same_time_are_one() {
    let upstream = Upstream::new();
    let read = upstream.joined(&SingleFlightConfig::default());
    let calls: Vec<_> = (0..10).map(|_| start(&read, "a")).collect();
    let other = start(&read, "b");
    settle().await;
    assert_eq!(upstream.begun(), 2);
    assert_eq!(read.layers()[0].state().unwrap()["waiting"], 11);
    upstream.answers(2);
    let mut cookies = 0;
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.message(), "a 0");
        assert_eq!(answer.metadata().get("x-number"), Some("0"));
        cookies += usize::from(answer.metadata().get("set-cookie").is_some());
    }
    assert_eq!(cookies, 1, "a cookie is for the one whose call was made");
    assert_eq!(other.await.unwrap().unwrap().into_message(), "b 1");
    // Nothing is kept.
    upstream.answers(1);
    assert_eq!(start(&read, "a").await.unwrap().unwrap().into_message(), "a 2");
    let state = read.layers()[0].state().unwrap();
    assert_eq!((&state["begun"], &state["shared"], &state["running"]), (&json!(3), &json!(9), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_the_answer_to_another_caller() {
    let upstream = Upstream::new();
    let vary = BTreeSet::from(["x-tenant".to_owned()]);
    let read = upstream.joined(&SingleFlightConfig { vary, ..SingleFlightConfig::default() });
    let calls = [
        ("authorization", "one"),
        ("authorization", "one"),
        ("authorization", "other"),
        ("cookie", "one"),
        ("x-tenant", "one"),
        ("x-unnamed", "one"),
        ("x-unnamed", "other"),
    ];
    let running: Vec<_> = calls.map(|(name, value)| start_with(&read, sent(name, value), "a")).into();
    settle().await;
    assert_eq!(upstream.begun(), 5);
    upstream.answers(5);
    for call in running {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_has_no_side_effects_or_is_named_is_joined() {
    for (idempotency, config, begun) in [
        (Idempotency::NoSideEffects, SingleFlightConfig::default(), 1),
        (Idempotency::Idempotent, SingleFlightConfig::default(), 2),
        (Idempotency::Unknown, SingleFlightConfig::default(), 2),
        (Idempotency::Unknown, SingleFlightConfig::default().with_method("Read"), 1),
        (Idempotency::Unknown, SingleFlightConfig::default().with_method("demo.Demo/Read"), 1),
        (Idempotency::Unknown, SingleFlightConfig::default().with_method("Write"), 2),
        (Idempotency::NoSideEffects, SingleFlightConfig { max_request: 1, ..SingleFlightConfig::default() }, 2),
    ] {
        let upstream = Upstream::new();
        let read = upstream.endpoint(method("Read", idempotency), |_, text| Ok(text));
        let read = read.with(&SingleFlight::new(&config).unwrap());
        let _calls = [start(&read, "a"), start(&read, "a")];
        settle().await;
        assert_eq!(upstream.begun(), begun, "{idempotency:?} {config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_for_all_who_waited() {
    let upstream = Upstream::new();
    let error = |_: usize, _: String| {
        let cause = std::io::Error::other("disk");
        Err(Error::unavailable("away")
            .with_log("db7")
            .with_retry_delay(MS)
            .with_reason("AWAY", "demo")
            .with_source(cause))
    };
    let read = upstream.endpoint(read_method(), error);
    let read = read.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let calls = [start(&read, "a"), start(&read, "a"), start(&read, "a")];
    settle().await;
    upstream.answers(1);
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.message(), error.retry_delay()), (Code::Unavailable, "away", Some(MS)));
        assert_eq!(error.reason().unwrap().reason, "AWAY");
        assert_eq!(error.to_log().to_string().matches("disk").count(), 1, "{error:?}");
        assert!(error.to_log().to_string().contains("db7"));
    }
    assert_eq!(upstream.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_first_goes_away_the_call_goes_on_for_the_others() {
    let upstream = Upstream::new();
    let read = upstream.joined(&SingleFlightConfig::default());
    let mut calls: Vec<_> = (0..4).map(|_| start(&read, "a")).collect();
    settle().await;
    // One after the other, the one whose turn it is each time.
    for _ in 0..3 {
        calls.remove(0).abort();
        settle().await;
        assert_eq!((upstream.begun(), upstream.running()), (1, 1));
    }
    upstream.answers(1);
    let answer = calls.remove(0).await.unwrap().unwrap();
    assert_eq!(answer.message(), "a 0");
    assert_eq!(answer.metadata().get("set-cookie"), None, "it was another's");
    assert_eq!(read.layers()[0].state().unwrap()["taken_over"], 3);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_waits_any_more_the_call_is_dropped() {
    let upstream = Upstream::new();
    let read = upstream.joined(&SingleFlightConfig::default());
    let calls: Vec<_> = (0..3).map(|_| start(&read, "a")).collect();
    settle().await;
    calls.iter().for_each(JoinHandle::abort);
    settle().await;
    assert_eq!((upstream.running(), &read.layers()[0].state().unwrap()["running"]), (0, &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn each_waits_until_its_own_deadline() {
    let upstream = Upstream::new();
    let read = upstream.joined(&SingleFlightConfig::default());
    let start_time = Instant::now();
    let first = start_with(&read, Context::background().with_timeout(1000 * MS), "a");
    settle().await;
    let hasty = start_with(&read, Context::background().with_timeout(100 * MS), "a");
    assert_eq!(hasty.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(start_time.elapsed(), 100 * MS);
    assert_eq!(upstream.running(), 1);
    upstream.answers(1);
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_first_is_no_answer_for_the_others() {
    // A service that keeps to the deadline of its call.
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let read = Endpoint::from_fn(read_method(), move |cx: Context, text: String| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let work = sleep(150 * MS);
            match cx.deadline() {
                Some(deadline) => {
                    tokio::time::timeout_at(deadline, work).await.map_err(|_| Error::deadline_exceeded("late"))?
                }
                None => work.await,
            }
            Ok(text)
        }
    });
    let read = read.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let first = start_with(&read, Context::background().with_timeout(100 * MS), "a");
    settle().await;
    let others = [start(&read, "a"), start(&read, "a")];
    assert_eq!(first.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    for call in others {
        assert_eq!(call.await.unwrap().unwrap().into_message(), "a");
    }
    assert_eq!(begun.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_services_own_is_an_answer_for_all() {
    let upstream = Upstream::new();
    let read = upstream.endpoint(read_method(), |_, _| Err(Error::deadline_exceeded("our own limit")));
    let read = read.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let calls: Vec<_> = (0..5).map(|_| start_with(&read, Context::background().with_timeout(1000 * MS), "a")).collect();
    settle().await;
    upstream.answers(1);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().message(), "our own limit");
    }
    assert_eq!(upstream.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_takes_its_own_caller_only() {
    let upstream = Upstream::new();
    let read =
        upstream.endpoint(read_method(), |number, text| if number == 0 { panic!("on purpose") } else { Ok(text) });
    let read = read.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let (first, second) = (start(&read, "a"), start(&read, "a"));
    settle().await;
    upstream.answers(2);
    assert!(first.await.unwrap_err().is_panic());
    second.await.unwrap().unwrap();
    assert_eq!((upstream.begun(), upstream.running()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn more_than_there_is_room_for_are_made_apart() {
    let upstream = Upstream::new();
    let read = upstream.joined(&SingleFlightConfig { max_keys: 2, ..SingleFlightConfig::default() });
    let calls: Vec<_> = ["a", "b", "c", "c", "a"].map(|text| start(&read, text)).into();
    settle().await;
    assert_eq!(upstream.begun(), 4);
    let state = read.layers()[0].state().unwrap();
    assert_eq!((&state["running"], &state["apart"]), (&json!(2), &json!(2)));
    upstream.answers(4);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_logs_as_the_one_who_began_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (note, upstream) = (Arc::clone(&seen), Upstream::new());
    let gate = Arc::clone(&upstream.may_answer);
    let read = Endpoint::from_fn(read_method(), move |_, text: String| {
        let (note, gate) = (Arc::clone(&note), Arc::clone(&gate));
        async move {
            gate.acquire().await.unwrap().forget();
            note.lock().unwrap().push(current::get().map(|ids| ids.request_id));
            Ok::<_, Error>(text)
        }
    });
    let read = read.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let (one, other) = (Context::background(), Context::background());
    let call = |cx: &Context| {
        let call = read.call(Request::new(cx.clone(), "a".to_owned()));
        tokio::spawn(current::scope(current::Ids::from(cx), call))
    };
    let (first, second) = (call(&one), call(&other));
    settle().await;
    first.abort();
    settle().await;
    upstream.answers(1);
    second.await.unwrap().unwrap();
    assert_eq!(*seen.lock().unwrap(), [Some(one.request_id().clone())]);
}

#[tokio::test]
async fn streams_pass_through_and_the_layer_says_so() {
    let info = MethodInfo::new("demo.Demo", "Count", MethodKind::ServerStreaming);
    let method = Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..info });
    let count =
        Endpoint::from_fn(method, |_, text: String| async move { Ok::<_, Error>(Streaming::from_iter([text])) });
    let count = count.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let mut answer = count.call(Request::new(Context::background(), "a".to_owned())).await.unwrap().into_message();
    assert_eq!(answer.message().await.unwrap(), Some("a".to_owned()));
    assert_eq!(count.layers()[0].state().unwrap()["joins"], "never: streams pass through");
}

#[tokio::test(start_paused = true)]
async fn settings_are_changed_while_it_runs() {
    let upstream = Upstream::new();
    let read = upstream.joined(&SingleFlightConfig::default());
    let info = read.layers()[0].clone();
    assert!(info.change(&json!({"max_keys": 0})).unwrap_err().message().starts_with("max_keys is 0"));
    info.change(&json!({"max_keys": 1, "per_caller": false})).unwrap();
    assert_eq!((&info.settings()["max_keys"], &info.settings()["per_caller"]), (&json!(1), &json!(false)));
    let _calls = [start_with(&read, sent("authorization", "one"), "a"), start(&read, "a")];
    settle().await;
    assert_eq!(upstream.begun(), 1);
    assert!(SingleFlightLayer::<String>::none().info().is_none());
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn figures_are_told_to_prometheus() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let (metrics, upstream) = (Metrics::new(), Upstream::new());
    let handle = SingleFlight::new(&SingleFlightConfig::default()).unwrap();
    handle.observe(&metrics, &read_method(), Side::Server).unwrap();
    let read = upstream.endpoint(read_method(), |_, text| Ok(text)).with(&handle);
    let calls = [start(&read, "a"), start(&read, "a")];
    settle().await;
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let labels = r#"{rpc_method="Read",rpc_service="demo.Demo",side="server"}"#;
    assert!(text().contains(&format!("kit_single_flight_running{labels} 1")), "{}", text());
    upstream.answers(1);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    for line in ["begun_total", "shared_total"] {
        assert!(text().contains(&format!("kit_single_flight_{line}{labels} 1")), "{}", text());
    }
    assert!(text().contains(&format!("kit_single_flight_running{labels} 0")));
}

/// What happens to calls, in any order. Each call is polled by hand, so that it is dropped at any point where it waits.
#[derive(Clone, Debug)]
enum Step {
    /// A new call of one of three keys.
    Start(usize),
    /// One that runs is polled, whether it was woken or not.
    Poll(usize),
    Drop(usize),
    /// The service answers one call that runs.
    Answer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3_usize).prop_map(Step::Start),
        4 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::Drop),
        1 => Just(Step::Answer),
    ];
    proptest::collection::vec(step, 1..60)
}

type Running = (usize, Pin<Box<dyn Future<Output = Outcome> + Send>>);

/// Plays the steps, and then answers all.
async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    // At most one call of a key may run at a time, whatever happens.
    let running: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let (upstream, doubled) = (Upstream::new(), Arc::new(AtomicUsize::new(0)));
    let (counts, twice) = (Arc::clone(&running), Arc::clone(&doubled));
    let inner = upstream.endpoint(read_method(), |_, text| Ok(text));
    let read = Endpoint::from_fn(read_method(), move |cx: Context, text: String| {
        let (counts, twice, inner) = (Arc::clone(&counts), Arc::clone(&twice), inner.clone());
        async move {
            struct Leave(Arc<Mutex<HashMap<String, usize>>>, String);
            impl Drop for Leave {
                fn drop(&mut self) {
                    *self.0.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
                }
            }
            let now = {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(text.clone()).or_default();
                *count += 1;
                *count
            };
            let _leave = Leave(Arc::clone(&counts), text.clone());
            twice.fetch_add(usize::from(now > 1), Ordering::Relaxed);
            Ok(inner.call(Request::new(cx, text)).await?.into_message())
        }
    });
    let read = read.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let mut calls: Vec<Running> = Vec::new();
    // How often the flight of a key began: when the first of its callers came while there was none.
    let (mut waiting, mut generations) = ([0_usize; 3], 0);
    for step in steps {
        match step {
            Step::Start(key) => {
                let call = read.call(Request::new(Context::background(), format!("key {key}")));
                let mut call: Running = (key, Box::pin(call));
                // Only a call that was polled takes part.
                generations += usize::from(waiting[key] == 0);
                waiting[key] += 1;
                match futures_util::poll!(&mut call.1) {
                    std::task::Poll::Ready(answer) => {
                        prop_assert_eq!(answer.unwrap().into_message(), format!("key {key}"));
                        // What was landed is over with the first who takes it.
                        waiting[key] = 0;
                    }
                    std::task::Poll::Pending => {
                        calls.push(call);
                    }
                }
            }
            Step::Poll(at) if !calls.is_empty() => {
                let at = at % calls.len();
                if let std::task::Poll::Ready(answer) = futures_util::poll!(&mut calls[at].1) {
                    let (key, _) = calls.swap_remove(at);
                    prop_assert_eq!(answer.unwrap().into_message(), format!("key {key}"));
                    waiting[key] = 0;
                }
            }
            Step::Drop(at) if !calls.is_empty() => {
                let at = at % calls.len();
                let (key, call) = calls.swap_remove(at);
                drop(call);
                waiting[key] = waiting[key].saturating_sub(1);
            }
            Step::Answer => upstream.answers(1),
            Step::Poll(_) | Step::Drop(_) => {}
        }
        prop_assert_eq!(doubled.load(Ordering::Relaxed), 0, "two equal calls ran at once");
    }
    // `waiting` forgets who still sits in a landed flight, so it may count a generation too many, never one too few.
    prop_assert!(upstream.begun() <= generations, "{} began in {generations}", upstream.begun());
    // Nobody hangs: with all answers given, each who still waits gets one by being woken alone.
    upstream.answers(1000);
    let all = futures_util::future::join_all(calls.into_iter().map(|(_, call)| call));
    let all = tokio::time::timeout(Duration::from_secs(10), all).await;
    prop_assert!(all.is_ok(), "a call hangs");
    for answer in all.unwrap() {
        prop_assert!(answer.is_ok());
    }
    prop_assert_eq!(upstream.running(), 0);
    prop_assert_eq!(&read.layers()[0].state().unwrap()["running"], &json!(0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn whoever_is_dropped_and_when_nobody_hangs_and_no_two_equal_calls_run(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(steps))?;
    }
}

/// The same on several threads, where wake-ups and drops race.
#[test]
fn callers_that_come_and_go_on_many_threads_all_get_their_answer() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let read = Endpoint::from_fn(read_method(), move |_, text: String| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                for _ in 0..fastrand::u8(0..5) {
                    yield_now().await;
                }
                Ok::<_, Error>(text)
            }
        });
        let read = read.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
        for _ in 0..300 {
            let calls: Vec<_> = (0..16).map(|_| start(&read, "a")).collect();
            let (gone, stay): (Vec<_>, Vec<_>) = calls.into_iter().partition(|_| fastrand::bool());
            gone.iter().for_each(JoinHandle::abort);
            let stay = futures_util::future::join_all(stay);
            let answers = tokio::time::timeout(Duration::from_secs(60), stay).await.expect("a call hangs");
            for answer in answers {
                assert_eq!(answer.unwrap().unwrap().into_message(), "a");
            }
        }
        assert!(begun.load(Ordering::Relaxed) < 300 * 16);
        assert_eq!(read.layers()[0].state().unwrap()["running"], 0);
    });
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_holds_nobody_up() {
    let upstream = Upstream::new();
    let read = upstream.joined(&SingleFlightConfig::default());
    let idle = read.call(Request::new(Context::background(), "a".to_owned()));
    upstream.answers(1);
    start(&read, "a").await.unwrap().unwrap();
    drop(idle);
    advance(MS).await;
    let forever = Endpoint::from_fn(read_method(), |_, _: String| pending::<Result<String, Error>>());
    let forever = forever.with(&SingleFlight::new(&SingleFlightConfig::default()).unwrap());
    let timed = start_with(&forever, Context::background().with_timeout(MS), "a");
    assert_eq!(timed.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
}
