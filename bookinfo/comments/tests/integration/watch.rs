//! Watching, on a clock that the tests hold.

use std::time::Duration;

use bookcomments::{
    proto::comments::{BookComments, Comment, PostReq, WatchReq},
    repository::RepositoryError,
    service::CommentsService,
};
use kit::{Code, Context, Error, Streaming};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::fake::FakeComments;

struct Setting {
    service: CommentsService<FakeComments>,
    store: FakeComments,
    stop: CancellationToken,
}

impl Setting {
    fn new() -> Self {
        let (store, stop) = (FakeComments::default(), CancellationToken::new());
        let service = CommentsService::new(store.clone()).with_stop(stop.clone());
        Self { service, store, stop }
    }

    async fn watch(&self, id: i64) -> Streaming<Comment> {
        self.service.watch(&Context::background(), WatchReq { id }).await.unwrap()
    }

    async fn post(&self, id: i64, content: &str) {
        self.service.post(&Context::background(), PostReq { id, content: content.to_owned() }).await.unwrap();
    }
}

async fn next(watch: &mut Streaming<Comment>) -> Result<Option<String>, Error> {
    let next = timeout(Duration::from_secs(3600), watch.message()).await.expect("the watcher is not told for an hour");
    Ok(next?.map(|comment| comment.content))
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_what_is_posted_from_now_on_and_at_once() {
    let setting = Setting::new();
    setting.post(1, "before").await;
    let mut watch = setting.watch(1).await;
    let start = Instant::now();
    for content in ["a", "b", "c"] {
        setting.post(2, "of another book").await;
        setting.post(1, content).await;
    }
    for content in ["a", "b", "c"] {
        assert_eq!(next(&mut watch).await.unwrap().as_deref(), Some(content));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_watcher_is_woken() {
    let setting = Setting::new();
    let mut watch = setting.watch(1).await;
    let start = Instant::now();
    let (content, ()) = tokio::join!(next(&mut watch), async {
        tokio::task::yield_now().await;
        setting.post(1, "at once").await;
    });
    assert_eq!(content.unwrap().as_deref(), Some("at once"));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_another_instance_stored_comes_within_the_interval() {
    let setting = Setting::new();
    let mut watch = setting.watch(1).await;
    for number in 0..3 {
        let start = Instant::now();
        setting.store.insert(1, &number.to_string());
        assert_eq!(next(&mut watch).await.unwrap(), Some(number.to_string()));
        assert!(start.elapsed() <= Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_misses_nothing_and_nothing_is_queued_for_it() {
    let setting = Setting::new();
    let mut watch = setting.watch(1).await;
    for number in 0..1000 {
        setting.post(1, &number.to_string()).await;
    }
    assert_eq!(setting.store.looks(), 0, "nothing is read before somebody asks");
    for number in 0..1000 {
        assert_eq!(next(&mut watch).await.unwrap(), Some(number.to_string()));
    }
    assert!(setting.store.looks() < 20);
}

#[tokio::test(start_paused = true)]
async fn the_stop_of_the_server_ends_it_with_an_error() {
    let setting = Setting::new();
    let (mut waiting, mut reading) = (setting.watch(1).await, setting.watch(1).await);
    let (end, ()) = tokio::join!(next(&mut waiting), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        setting.stop.cancel();
    });
    for end in [end, next(&mut reading).await] {
        let error = end.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "the service stops: call again"));
    }
    assert_eq!(next(&mut reading).await.unwrap(), None, "an error is the last");
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_for_a_watcher_that_went_away() {
    let setting = Setting::new();
    let mut watch = setting.watch(1).await;
    let _ = timeout(Duration::from_millis(2500), watch.message()).await.unwrap_err();
    let looks = setting.store.looks();
    assert_eq!(looks, 3);
    drop(watch);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(setting.store.looks(), looks);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_moment_is_waited_for() {
    let setting = Setting::new();
    let mut watch = setting.watch(1).await;
    setting.store.fail(Some(|| RepositoryError::unavailable("away")));
    let _ = timeout(Duration::from_secs(10), watch.message()).await.unwrap_err();
    setting.store.fail(None);
    setting.store.insert(1, "back");
    assert_eq!(next(&mut watch).await.unwrap().as_deref(), Some("back"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_ends_it_with_an_error() {
    let setting = Setting::new();
    let mut watch = setting.watch(1).await;
    setting.store.fail(Some(|| RepositoryError::unavailable("away")));
    let start = Instant::now();
    assert_eq!(next(&mut watch).await.unwrap_err().code(), Code::Unavailable);
    assert!((30..=31).contains(&start.elapsed().as_secs()));
    assert_eq!(next(&mut watch).await.unwrap(), None, "an error is the last");

    let mut watch = {
        setting.store.fail(None);
        setting.watch(1).await
    };
    setting.store.fail(Some(|| RepositoryError::internal("broken")));
    assert_eq!(next(&mut watch).await.unwrap_err().code(), Code::Internal);
}
