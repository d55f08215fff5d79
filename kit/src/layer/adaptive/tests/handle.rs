use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::time::{advance, sleep};

use crate::{
    Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request, Streaming,
    layer::adaptive::{Adaptive, AdaptiveConfig, AdaptiveLayer, Algorithm, Limit, Sample},
};

fn method(kind: MethodKind) -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Say", kind))
}

/// Takes ten milliseconds, and fails with what it is told.
fn say() -> Endpoint<String, String> {
    Endpoint::from_fn(method(MethodKind::Unary), |_, text: String| async move {
        sleep(Duration::from_millis(10)).await;
        match &*text {
            "unavailable" => Err(Error::unavailable("away")),
            "internal" => Err(Error::internal("a bug")),
            "forever" => std::future::pending().await,
            _ => Ok(text),
        }
    })
}

async fn call(say: &Endpoint<String, String>, text: &str) -> Result<(), Error> {
    say.call(Request::new(Context::background(), text.to_owned())).await.map(drop)
}

fn config(algorithm: Algorithm) -> AdaptiveConfig {
    // One call is a window.
    let window = Duration::from_millis(1);
    AdaptiveConfig { algorithm, initial: 10, min: 1, window, min_samples: 1, probe: None, ..AdaptiveConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_about_load_moves_nothing() {
    let limit = Adaptive::new(&config(Algorithm::Aimd)).unwrap();
    let say = say().with(&limit);
    let now = || limit.figures().limit;
    call(&say, "internal").await.unwrap_err();
    let given_up = tokio::time::timeout(Duration::from_millis(50), call(&say, "forever")).await;
    assert!(given_up.is_err());
    assert_eq!((now(), limit.figures().in_flight), (10, 0));
    call(&say, "unavailable").await.unwrap_err();
    assert_eq!(now(), 9);
    // Nothing runs beside it: the limit is not used, and no reason to rise.
    call(&say, "a").await.unwrap();
    assert_eq!(now(), 9);
    // And those that it refuses itself.
    limit.reconfigure(&AdaptiveConfig { max: 1, initial: 1, queue: 0, ..limit.config() }).unwrap();
    let (first, second) = tokio::join!(call(&say, "internal"), call(&say, "a"));
    assert_eq!((first.unwrap_err().code(), second.unwrap_err().code()), (Code::Internal, Code::ResourceExhausted));
    assert_eq!(now(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_limit_stays_between_its_bounds() {
    let limit = Adaptive::new(&AdaptiveConfig { min: 9, max: 11, ..config(Algorithm::Aimd) }).unwrap();
    let say = say().with(&limit);
    for _ in 0..5 {
        call(&say, "unavailable").await.unwrap_err();
    }
    assert_eq!(limit.figures().limit, 9);
    for _ in 0..5 {
        let calls = (0..9).map(|_| call(&say, "a"));
        futures_util::future::join_all(calls).await;
        advance(Duration::from_millis(1)).await;
    }
    assert_eq!(limit.figures().limit, 11);
    limit.reconfigure(&AdaptiveConfig { max: 1000, ..limit.config() }).unwrap();
    assert_eq!(limit.figures().limit, 11, "it goes on from where it is");
    let vegas = AdaptiveConfig { algorithm: Algorithm::Vegas, min: 50, initial: 50, ..limit.config() };
    limit.reconfigure(&vegas).unwrap();
    assert_eq!(limit.figures().limit, 50);
}

#[tokio::test(start_paused = true)]
async fn waiting_is_no_part_of_the_time_that_is_learned_from() {
    #[derive(Clone, Default)]
    struct Slowest(Arc<AtomicU32>);
    impl Limit for Slowest {
        fn update(&mut self, sample: &Sample) -> f64 {
            self.0.fetch_max(sample.rtt.as_millis() as u32, Ordering::Relaxed);
            1.0
        }
        fn limit(&self) -> f64 {
            1.0
        }
        fn set(&mut self, _: f64) {}
    }
    let slowest = Slowest::default();
    let config = AdaptiveConfig { initial: 1, ..config(Algorithm::Aimd) };
    let limit = Adaptive::with_algorithm(&config, slowest.clone()).unwrap();
    let say = say().with(&limit);
    let results = futures_util::future::join_all((0..5).map(|_| call(&say, "a"))).await;
    assert!(results.iter().all(Result::is_ok));
    let seen = slowest.0.load(Ordering::Relaxed);
    assert!((10..20).contains(&seen), "{seen} ms");
}

#[tokio::test(start_paused = true)]
async fn of_a_stream_the_beginning_counts() {
    let limit = Adaptive::new(&AdaptiveConfig { slow: Duration::from_secs(1), ..config(Algorithm::Aimd) }).unwrap();
    let count = Endpoint::from_fn(method(MethodKind::ServerStreaming), |_, (): ()| async {
        Ok(Streaming::from_iter(["a".to_owned()]))
    });
    let count = count.with(&limit);
    let mut answer = count.call(Request::new(Context::background(), ())).await.unwrap().into_message();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(limit.figures().in_flight, 1);
    while answer.message().await.unwrap().is_some() {}
    assert_eq!((limit.figures().in_flight, limit.figures().limit), (0, 10));
}

/// When it is time to, half of the limit is tried for a window; where there is little load nobody has to wait for that.
#[tokio::test(start_paused = true)]
async fn the_time_without_load_is_measured_now_and_then() {
    let probe = Some(Duration::from_secs(1));
    let config = AdaptiveConfig { probe, min_samples: 10, ..config(Algorithm::Vegas) };
    let limit = Adaptive::new(&config).unwrap();
    let say = say().with(&limit);
    let state = || say.layers()[0].state().unwrap()["probing"].clone();
    let at_once = |calls| futures_util::future::join_all((0..calls).map(|_| call(&say, "a")));
    advance(Duration::from_secs(2)).await;
    for _ in 0..10 {
        call(&say, "a").await.unwrap();
    }
    assert_eq!((state(), limit.figures().limit), (json!(false), 10));
    advance(Duration::from_secs(2)).await;
    at_once(10).await;
    assert_eq!(state(), json!(true));
    let halved = limit.figures().limit;
    at_once(5).await;
    assert_eq!((state(), limit.figures().limit), (json!(true), halved));
    at_once(5).await;
    assert_eq!((state(), limit.figures().limit), (json!(false), halved * 2));
}

/// What is far above the capacity is not without load at its half either: it is halved until calls don't become faster by it.
#[tokio::test(start_paused = true)]
async fn the_time_without_load_is_looked_for_below_half() {
    #[derive(Clone, Default)]
    struct Rebased(Arc<std::sync::Mutex<Vec<u128>>>);
    impl Limit for Rebased {
        fn update(&mut self, _: &Sample) -> f64 {
            64.0
        }
        fn limit(&self) -> f64 {
            64.0
        }
        fn set(&mut self, _: f64) {}
        fn rebase(&mut self, rtt: Duration) {
            self.0.lock().unwrap().push(rtt.as_millis());
        }
    }
    let rebased = Rebased::default();
    let probe = Some(Duration::from_secs(1));
    let config = AdaptiveConfig { initial: 64, probe, min_samples: 8, queue: 0, ..config(Algorithm::Aimd) };
    let limit = Adaptive::with_algorithm(&config, rebased.clone()).unwrap();
    // Works on eight at once, 10 ms each.
    let workers = Arc::new(tokio::sync::Semaphore::new(8));
    let work = Endpoint::from_fn(method(MethodKind::Unary), move |_, text: String| {
        let workers = Arc::clone(&workers);
        async move {
            let _worker = workers.acquire().await.unwrap();
            sleep(Duration::from_millis(10)).await;
            Ok(text)
        }
    });
    let work = work.with(&limit);
    let mut callers = tokio::task::JoinSet::<()>::new();
    for _ in 0..80 {
        let work = work.clone();
        callers.spawn(async move {
            loop {
                if call(&work, "a").await.is_err() {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }
    let mut limits = Vec::new();
    while rebased.0.lock().unwrap().is_empty() {
        sleep(Duration::from_millis(1)).await;
        let now = limit.figures().limit;
        if limits.last() != Some(&now) {
            limits.push(now);
        }
        assert!(limits.len() < 10, "{limits:?}");
    }
    assert_eq!(limits, [64, 32, 16, 8, 4, 64], "each half is faster down to eight, and four are not");
    assert_eq!(rebased.0.lock().unwrap().clone(), [10]);
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_that_says_nonsense_stays_between_the_bounds() {
    struct Mad;
    impl Limit for Mad {
        fn update(&mut self, _: &Sample) -> f64 {
            f64::NEG_INFINITY
        }
        fn limit(&self) -> f64 {
            f64::NAN
        }
        fn set(&mut self, _: f64) {}
    }
    let limit = Adaptive::with_algorithm(&AdaptiveConfig { min: 3, ..config(Algorithm::Aimd) }, Mad).unwrap();
    assert_eq!(limit.figures().limit, 3);
    call(&say().with(&limit), "a").await.unwrap();
    assert_eq!(limit.figures().limit, 3);
    limit.reconfigure(&AdaptiveConfig { min: 4, ..limit.config() }).unwrap();
    assert_eq!(limit.figures().limit, 4);
}

#[tokio::test(start_paused = true)]
async fn settings_are_shown_and_changed_while_it_runs() {
    let limit = Adaptive::new(&AdaptiveConfig::default()).unwrap();
    let say = say().with(&limit);
    let info = &say.layers()[0];
    assert_eq!((info.name(), &info.settings()["algorithm"]), ("adaptive", &json!("gradient2")));
    assert_eq!(info.state().unwrap()["limit"], json!(20));
    info.change(&json!({ "min": 40, "initial": 40, "algorithm": "vegas" })).unwrap();
    assert_eq!((limit.figures().limit, limit.config().algorithm), (40, Algorithm::Vegas));
    let error = info.change(&json!({ "smoothing": 2 })).unwrap_err();
    assert!(error.message().starts_with("adaptive.smoothing must be"), "{error}");
    assert_eq!(
        Adaptive::new(&AdaptiveConfig { min: 0, ..AdaptiveConfig::default() }).unwrap_err().code(),
        Code::InvalidArgument
    );
    assert!(AdaptiveLayer::none().info().is_none());
}
