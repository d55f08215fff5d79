//! Whole answers: one loader, no old answer after a change, and stores that fail.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, oneshot},
    task::{JoinHandle, yield_now},
    time::advance,
};

use super::*;
use crate::{Code, Error};

const TTL: Duration = Duration::from_secs(60);

/// A memory that can be made to fail, and to wait before it saves an answer.
#[derive(Clone)]
struct Fake(Arc<State>);

struct State {
    memory: Memory,
    away: AtomicBool,
    may_save: Semaphore,
    saving: AtomicUsize,
    ttls: Mutex<Vec<Duration>>,
    fetched: AtomicUsize,
}

impl Fake {
    fn new() -> Self {
        Self(Arc::new(State {
            memory: Memory::new(1 << 20),
            away: AtomicBool::new(false),
            may_save: Semaphore::new(Semaphore::MAX_PERMITS),
            saving: AtomicUsize::new(0),
            ttls: Mutex::default(),
            fetched: AtomicUsize::new(0),
        }))
    }

    fn away(&self, away: bool) {
        self.0.away.store(away, Ordering::Relaxed);
    }

    fn there(&self) -> Result<&Memory, CacheError> {
        if self.0.away.load(Ordering::Relaxed) { Err(CacheError::unavailable("away")) } else { Ok(&self.0.memory) }
    }
}

impl Cache for Fake {
    async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        self.there()?.delete(key).await
    }

    async fn expire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        self.there()?.expire(key, ttl).await
    }

    async fn fetch(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.0.fetched.fetch_add(1, Ordering::Relaxed);
        self.there()?.fetch(key).await
    }

    async fn flush(&self) -> Result<(), CacheError> {
        self.there()?.flush().await
    }

    async fn save(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.there()?.save(key, value, ttl).await
    }

    async fn save_if(&self, key: &str, old: Option<&[u8]>, new: Bytes, ttl: Duration) -> Result<bool, CacheError> {
        self.0.saving.fetch_add(1, Ordering::Relaxed);
        let _permit = self.0.may_save.acquire().await.unwrap();
        self.0.ttls.lock().unwrap().push(ttl);
        self.there()?.save_if(key, old, new, ttl).await
    }
}

fn cached(config: &CacheConfig) -> (Cached<String, Fake>, Fake) {
    let store = Fake::new();
    (Cached::new("test:", store.clone(), config), store)
}

fn standard() -> (Cached<String, Fake>, Fake) {
    cached(&CacheConfig::default())
}

async fn get(cached: &Cached<String, Fake>, key: &str, answer: &str) -> String {
    cached.get_or_load(key, || async { Ok::<_, Error>(answer.to_owned()) }).await.unwrap()
}

type Outcome = Result<String, Error>;

/// A call whose load waits until it is told its outcome.
fn call(cached: &Cached<String, Fake>, key: &'static str) -> (oneshot::Sender<Outcome>, JoinHandle<Outcome>) {
    let (outcome, told) = oneshot::channel();
    let cached = cached.clone();
    let load = || async { told.await.unwrap() };
    (outcome, tokio::spawn(async move { cached.get_or_load(key, load).await }))
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

#[tokio::test]
async fn of_many_callers_one_loads_and_all_have_its_answer() {
    let (cached, _) = standard();
    let (outcome, leader) = call(&cached, "a");
    until(|| cached.waiting("a") == 1).await;
    let others: Vec<_> = (0..20).map(|_| call(&cached, "a")).collect();
    until(|| cached.waiting("a") == 21).await;
    assert_eq!(get(&cached, "b", "of another key").await, "of another key");
    outcome.send(Ok("once".to_owned())).unwrap();
    assert_eq!(leader.await.unwrap().unwrap(), "once");
    for (_, other) in others {
        assert_eq!(other.await.unwrap().unwrap(), "once");
    }
    let figures = cached.figures();
    assert_eq!((figures.loads, figures.coalesced, figures.hits, figures.misses), (2, 20, 0, 22));
    assert_eq!(cached.flights(), 0, "nothing is left behind");
    assert_eq!(get(&cached, "a", "not loaded").await, "once");
    assert_eq!(cached.figures().hits, 1);
}

#[tokio::test]
async fn when_the_one_who_loads_is_cancelled_another_loads() {
    let (cached, _) = standard();
    let (_outcome, leader) = call(&cached, "a");
    until(|| cached.waiting("a") == 1).await;
    let (second, follower) = call(&cached, "a");
    until(|| cached.waiting("a") == 2).await;
    let (_third, last) = call(&cached, "a");
    until(|| cached.waiting("a") == 3).await;
    last.abort();
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    second.send(Ok("of the second".to_owned())).unwrap();
    assert_eq!(follower.await.unwrap().unwrap(), "of the second");
    assert_eq!(get(&cached, "a", "not loaded").await, "of the second", "and it was kept");
    let _ = last.await;
    assert_eq!((cached.flights(), cached.figures().loads), (0, 2));
}

#[tokio::test]
async fn an_error_is_for_all_who_wait_and_is_not_kept() {
    let (cached, _) = standard();
    let (outcome, leader) = call(&cached, "a");
    until(|| cached.waiting("a") == 1).await;
    let (_, follower) = call(&cached, "a");
    until(|| cached.waiting("a") == 2).await;
    let error = Error::unavailable("try later")
        .with_log("host db7")
        .with_reason("GONE", "test")
        .with_reason_metadata("a", "b")
        .with_field_violation("f", "wrong")
        .with_retry_delay(TTL);
    outcome.send(Err(error.as_rejection())).map_err(drop).unwrap();
    let own = leader.await.unwrap().unwrap_err();
    let shared = follower.await.unwrap().unwrap_err();
    for error in [&own, &shared] {
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "try later"));
        assert_eq!((error.class(), error.retry_delay()), (crate::Class::Rejected, Some(TTL)));
        assert_eq!(error.reason().unwrap().metadata["a"], "b");
        assert_eq!(error.field_violations()[0].field, "f");
        assert!(error.to_log().to_string().contains("db7"));
    }
    assert_eq!(get(&cached, "a", "well again").await, "well again");
    assert_eq!((cached.figures().failed_loads, cached.flights()), (1, 0));
}

#[tokio::test]
async fn one_who_runs_out_of_its_own_time_does_not_take_the_others_along() {
    let (cached, _) = standard();
    let (outcome, leader) = call(&cached, "a");
    until(|| cached.waiting("a") == 1).await;
    let (second, follower) = call(&cached, "a");
    until(|| cached.waiting("a") == 2).await;
    outcome.send(Err(Error::deadline_exceeded("50 ms"))).map_err(drop).unwrap();
    assert_eq!(leader.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    second.send(Ok("in its own time".to_owned())).unwrap();
    assert_eq!(follower.await.unwrap().unwrap(), "in its own time");
}

#[tokio::test]
async fn what_was_being_loaded_when_it_changed_is_not_kept() {
    let (cached, _) = standard();
    let (outcome, early) = call(&cached, "a");
    until(|| cached.waiting("a") == 1).await;
    let change = cached.change("a");
    change.done().await;
    let (second, late) = call(&cached, "a");
    until(|| cached.waiting("a") == 1).await;
    outcome.send(Ok("old".to_owned())).unwrap();
    assert_eq!(early.await.unwrap().unwrap(), "old", "it asked before");
    second.send(Ok("new".to_owned())).unwrap();
    assert_eq!(late.await.unwrap().unwrap(), "new", "it has a load of its own");
    assert_eq!(get(&cached, "a", "not loaded").await, "new");
    assert_eq!((cached.figures().overtaken, cached.flights()), (1, 0));
}

#[tokio::test]
async fn what_was_being_saved_when_it_changed_is_not_kept() {
    let (cached, store) = standard();
    let permits = store.0.may_save.acquire_many(u32::MAX >> 4).await.unwrap();
    store.0.may_save.forget_permits(Semaphore::MAX_PERMITS);
    let (outcome, early) = call(&cached, "a");
    outcome.send(Ok("old".to_owned())).unwrap();
    until(|| store.0.saving.load(Ordering::Relaxed) == 1).await;
    cached.change("a").done().await;
    drop(permits);
    assert_eq!(early.await.unwrap().unwrap(), "old");
    assert_eq!(get(&cached, "a", "new").await, "new");
    assert_eq!(get(&cached, "a", "not loaded").await, "new");
    assert_eq!(cached.figures().overtaken, 1);
}

/// Two processes are two of these on one store.
#[tokio::test]
async fn another_process_does_not_save_what_was() {
    let (ours, store) = standard();
    let theirs: Cached<String, Fake> = Cached::new("test:", store, &CacheConfig::default());
    let (outcome, early) = call(&theirs, "a");
    until(|| theirs.waiting("a") == 1).await;
    ours.change("a").done().await;
    outcome.send(Ok("old".to_owned())).unwrap();
    early.await.unwrap().unwrap();
    assert_eq!(get(&ours, "a", "new").await, "new");
    // Nor in the place of a newer answer.
    let (outcome, early) = call(&theirs, "b");
    until(|| theirs.waiting("b") == 1).await;
    ours.change("b").done().await;
    assert_eq!(get(&ours, "b", "new").await, "new");
    outcome.send(Ok("old".to_owned())).unwrap();
    early.await.unwrap().unwrap();
    assert_eq!(get(&theirs, "b", "not loaded").await, "new");
    assert_eq!(theirs.figures().overtaken, 2);
}

#[tokio::test]
async fn a_change_that_is_dropped_half_way_counts_as_made() {
    let (cached, _) = standard();
    assert_eq!(get(&cached, "a", "old").await, "old");
    drop(cached.change("a"));
    assert_eq!(get(&cached, "a", "new").await, "new");
    assert_eq!(get(&cached, "a", "not loaded").await, "new");
    cached.change("a").cancel();
    assert_eq!(get(&cached, "a", "not loaded").await, "new", "nothing was changed");
}

#[tokio::test]
async fn a_store_that_is_away_makes_calls_slower_and_not_wrong() {
    let (cached, store) = standard();
    assert_eq!(get(&cached, "a", "old").await, "old");
    store.away(true);
    assert_eq!(get(&cached, "a", "loaded").await, "loaded");
    let (outcome, leader) = call(&cached, "a");
    until(|| cached.waiting("a") == 1).await;
    let (_, follower) = call(&cached, "a");
    until(|| cached.waiting("a") == 2).await;
    outcome.send(Ok("one load".to_owned())).unwrap();
    assert_eq!(leader.await.unwrap().unwrap(), "one load");
    assert_eq!(follower.await.unwrap().unwrap(), "one load");
    // A change that the store does not hear of.
    cached.change("a").done().await;
    assert_eq!(get(&cached, "a", "new").await, "new");
    store.away(false);
    let fetched = store.0.fetched.load(Ordering::Relaxed);
    assert_eq!(get(&cached, "a", "newer").await, "newer", "what it still has is old");
    assert_eq!(store.0.fetched.load(Ordering::Relaxed), fetched, "and not even asked for");
    assert_eq!(get(&cached, "a", "not loaded").await, "newer");
    assert!(cached.figures().errors >= 4, "{:?}", cached.figures());
}

#[tokio::test]
async fn a_store_that_is_back_is_told_by_whoever_comes_by() {
    let (cached, store) = standard();
    assert_eq!(get(&cached, "a", "old").await, "old");
    store.away(true);
    cached.change("a").done().await;
    store.away(false);
    assert_eq!(get(&cached, "b", "another").await, "another");
    let theirs: Cached<String, Fake> = Cached::new("test:", store, &CacheConfig::default());
    assert_eq!(get(&theirs, "a", "new").await, "new");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time_and_no_longer() {
    let (cached, store) = standard();
    for number in 0..1000 {
        get(&cached, &number.to_string(), "x").await;
    }
    let ttls = store.0.ttls.lock().unwrap().clone();
    assert_eq!(ttls.len(), 1000);
    let (least, most) = (ttls.iter().min().unwrap(), ttls.iter().max().unwrap());
    assert!(*least >= TTL.mul_f64(0.9) && *most <= TTL, "{least:?} {most:?}");
    assert!(*most - *least > TTL.mul_f64(0.08), "spread: {least:?} {most:?}");

    let exact = CacheConfig { jitter: 0.0, ..CacheConfig::default() };
    let (cached, _) = self::cached(&exact);
    get(&cached, "a", "old").await;
    advance(TTL - Duration::from_millis(1)).await;
    assert_eq!(get(&cached, "a", "new").await, "old");
    advance(Duration::from_millis(1)).await;
    assert_eq!(get(&cached, "a", "new").await, "new");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_took_longer_than_an_answer_lives_is_not_kept() {
    let (cached, _) = standard();
    let slow = || async {
        tokio::time::sleep(TTL).await;
        Ok::<_, Error>("slow".to_owned())
    };
    assert_eq!(cached.get_or_load("a", slow).await.unwrap(), "slow");
    assert_eq!(get(&cached, "a", "new").await, "new");
    assert_eq!(cached.figures().overtaken, 1);
}

#[tokio::test]
async fn what_is_not_ours_is_replaced_and_what_is_too_large_is_not_kept() {
    let small = CacheConfig { max_value_bytes: 100, ..CacheConfig::default() };
    let (cached, store) = cached(&small);
    store.save("test:a", "somebody else's".into(), TTL).await.unwrap();
    assert_eq!(get(&cached, "a", "ours").await, "ours");
    assert_eq!(get(&cached, "a", "not loaded").await, "ours");
    let of_another_type: Cached<Vec<u8>, Fake> = Cached::new("test:", store, &small);
    let load = || async { Ok::<_, Error>(vec![7]) };
    assert_eq!(of_another_type.get_or_load("a", load).await.unwrap(), [7]);
    assert_eq!((cached.figures().corrupt, of_another_type.figures().corrupt), (1, 1));

    let large = "x".repeat(100);
    assert_eq!(get(&cached, "large", &large).await, large);
    assert_eq!(get(&cached, "large", "again").await, "again");
    assert_eq!(cached.figures().oversized, 1);
}

#[tokio::test]
async fn without_a_store_every_call_loads_and_still_only_one_at_a_time() {
    let config = CacheConfig { url: "off".to_owned(), ..CacheConfig::default() };
    let cached: Cached<String> = Cached::new("test:", config.open().unwrap(), &config);
    for answer in ["1", "2"] {
        let load = || async { Ok::<_, Error>(answer.to_owned()) };
        assert_eq!(cached.get_or_load("a", load).await.unwrap(), answer);
    }
    let leader = tokio::spawn({
        let cached = cached.clone();
        async move { cached.get_or_load("a", pending::<Result<String, Error>>).await }
    });
    until(|| cached.waiting("a") == 1).await;
    let follower = cached.get_or_load("a", || async { Ok::<_, Error>("3".to_owned()) });
    tokio::pin!(follower);
    assert!(futures_util::poll!(follower.as_mut()).is_pending());
    leader.abort();
    assert_eq!(follower.await.unwrap(), "3");
}

#[tokio::test]
async fn a_store_that_only_fetches_can_tell_what_follows_from_it() {
    let store = Fake::new();
    store.save("a", Bytes::from_static(b"1"), TTL).await.unwrap();
    assert_eq!((store.contains("a").await.unwrap(), store.contains("b").await.unwrap()), (true, false));
    let values = store.fetch_many(&["b", "a", "a"]).await.unwrap();
    assert_eq!(values, [None, Some(Bytes::from_static(b"1")), Some(Bytes::from_static(b"1"))]);
    assert!(store.fetch_many(&[]).await.unwrap().is_empty());
    store.away(true);
    assert!(store.contains("a").await.unwrap_err().is_unavailable());
    assert!(store.fetch_many(&["a"]).await.unwrap_err().is_unavailable());
}
