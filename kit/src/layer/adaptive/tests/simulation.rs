//! The layer around a service whose capacity moves, with four times as many callers as it can ever work for: virtual time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::sleep};

use crate::{
    Context, Endpoint, Method, MethodInfo, MethodKind, Request,
    layer::adaptive::{Adaptive, AdaptiveConfig, Algorithm},
};

/// How long a call takes once it is worked on.
const WORK: Duration = Duration::from_millis(50);

/// How long a caller rests that was refused.
const REST: Duration = Duration::from_millis(100);

const PHASE: Duration = Duration::from_secs(60);
const MEASURED: Duration = Duration::from_secs(20);

/// Works on as many calls at once as there are permits; the others wait in order.
fn service(workers: &Arc<Semaphore>) -> Endpoint<String, String> {
    let workers = Arc::clone(workers);
    let method = Method::from(MethodInfo::new("demo.Demo", "Work", MethodKind::Unary));
    Endpoint::from_fn(method, move |_, text: String| {
        let workers = Arc::clone(&workers);
        async move {
            let _worker = workers.acquire().await.unwrap();
            sleep(WORK).await;
            Ok(text)
        }
    })
}

async fn set_capacity(workers: &Arc<Semaphore>, from: u32, to: u32) {
    if to > from {
        workers.add_permits((to - from) as usize);
    } else if from > to {
        workers.acquire_many(from - to).await.unwrap().forget();
    }
}

async fn follows_the_capacity(config: AdaptiveConfig) {
    let workers = Arc::new(Semaphore::new(20));
    let limit = Adaptive::new(&config).unwrap();
    let work = service(&workers).with(&limit);
    let answered = Arc::new(AtomicU64::new(0));
    let mut callers = tokio::task::JoinSet::<()>::new();
    for _ in 0..240 {
        let (work, answered) = (work.clone(), Arc::clone(&answered));
        callers.spawn(async move {
            loop {
                match work.call(Request::new(Context::background(), String::new())).await {
                    Ok(_) => {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => sleep(REST).await,
                }
            }
        });
    }
    let mut capacity = 20;
    for next in [20, 60, 10, 40] {
        set_capacity(&workers, capacity, next).await;
        capacity = next;
        sleep(PHASE - MEASURED).await;
        let before = answered.load(Ordering::Relaxed);
        sleep(MEASURED).await;
        let goodput = (answered.load(Ordering::Relaxed) - before) as f64 / MEASURED.as_secs_f64();
        let possible = f64::from(capacity) / WORK.as_secs_f64();
        let found = limit.figures().limit;
        println!("{:?}: capacity {capacity}, limit {found}, goodput {goodput} of {possible}", config.algorithm);
        assert!(goodput >= possible * 0.9, "{goodput} of {possible} at capacity {capacity} with limit {found}");
        assert!(
            f64::from(found) >= f64::from(capacity) * 0.9 && f64::from(found) <= f64::from(capacity) * 2.5,
            "limit {found} for capacity {capacity}"
        );
    }
    drop(callers);
}

fn config(algorithm: Algorithm) -> AdaptiveConfig {
    AdaptiveConfig { algorithm, queue: 0, ..AdaptiveConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn gradient2_finds_a_capacity_that_moves() {
    follows_the_capacity(config(Algorithm::Gradient2)).await;
}

#[tokio::test(start_paused = true)]
async fn vegas_finds_a_capacity_that_moves() {
    follows_the_capacity(config(Algorithm::Vegas)).await;
}

/// It needs somebody who says when it is too much: here the time.
#[tokio::test(start_paused = true)]
async fn aimd_finds_a_capacity_that_moves() {
    follows_the_capacity(AdaptiveConfig { slow: WORK * 2, ..config(Algorithm::Aimd) }).await;
}
