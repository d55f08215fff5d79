//! Lists that are kept: what is posted is listed at once, whatever the cache is and does.

use bookcomments::{
    proto::comments::{BookComments, GetReq, GetResp, PostReq},
    repository::RepositoryError,
    service::CommentsService,
};
use bookcommon::testing::Process;
use kit::{
    Context,
    cache::{CacheConfig, Cached, testing},
};
use tokio::net::TcpListener;

use crate::fake::FakeComments;

fn service(store: &FakeComments, config: &CacheConfig) -> (CommentsService<FakeComments>, Cached<GetResp>) {
    let lists = Cached::new("lists:", config.open().unwrap(), config);
    (CommentsService::new(store.clone()).with_cache(lists.clone()), lists)
}

async fn post(service: &impl BookComments, content: &str) {
    service.post(&Context::background(), PostReq { id: 7, content: content.to_owned() }).await.unwrap();
}

async fn listed(service: &impl BookComments) -> Vec<String> {
    let answer = service.get(&Context::background(), GetReq { id: 7 }).await.unwrap();
    assert_eq!((answer.code, answer.msg.as_str()), (200, "success"));
    answer.data.into_iter().map(|comment| comment.content).collect()
}

#[tokio::test]
async fn a_list_is_kept_until_somebody_posts() {
    let store = FakeComments::default();
    let (service, lists) = service(&store, &CacheConfig::default());
    assert!(listed(&service).await.is_empty(), "an empty list is kept like any other");
    store.insert(7, "behind its back");
    assert!(listed(&service).await.is_empty());
    assert_eq!(lists.figures().hits, 1);
    post(&service, "posted").await;
    assert_eq!(listed(&service).await, ["behind its back", "posted"]);
    assert_eq!(listed(&service).await, ["behind its back", "posted"]);
    assert_eq!((lists.figures().hits, lists.figures().loads), (2, 2));
}

#[tokio::test]
async fn a_post_that_may_have_been_stored_outdates_the_list() {
    let store = FakeComments::default();
    let (service, _) = service(&store, &CacheConfig::default());
    assert!(listed(&service).await.is_empty());
    store.insert(7, "stored, but the answer was lost");
    store.fail(Some(|| RepositoryError::unavailable("host db7")));
    let request = PostReq { id: 7, content: "stored, but the answer was lost".to_owned() };
    service.post(&Context::background(), request).await.unwrap_err();
    // The list is there as long as it can be; an outage is not kept.
    service.get(&Context::background(), GetReq { id: 7 }).await.unwrap_err();
    store.fail(None);
    assert_eq!(listed(&service).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_on_one_redis_outdate_each_other_s_lists() {
    let Some(config) = testing::redis().await else { return };
    let store = FakeComments::default();
    let ((one, _), (two, lists)) = (service(&store, &config), service(&store, &config));
    for number in 1..=20 {
        post(&one, "posted").await;
        assert_eq!(listed(&two).await.len(), number);
        assert_eq!(listed(&one).await.len(), number);
    }
    assert_eq!((lists.figures().loads, lists.figures().errors), (20, 0), "the one loads for both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_many_post_and_list_nobody_misses_what_was_confirmed() {
    let Some(config) = testing::redis().await else { return };
    for config in [CacheConfig::default(), config] {
        let store = FakeComments::default();
        let (service, _) = service(&store, &config);
        let service = std::sync::Arc::new(service);
        let tasks: Vec<_> = (0..8)
            .map(|writer| {
                let service = std::sync::Arc::clone(&service);
                tokio::spawn(async move {
                    for number in 0..50 {
                        let content = format!("{writer}:{number}");
                        post(&*service, &content).await;
                        assert!(listed(&*service).await.contains(&content), "{content}");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(listed(&*service).await.len(), 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_redis_every_answer_is_right() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let store = FakeComments::default();
    let (service, lists) = service(&store, &testing::at(format!("redis://{free}")));
    for number in 1..=5 {
        post(&service, "posted").await;
        assert_eq!(listed(&service).await.len(), number);
    }
    assert_eq!((lists.figures().hits, lists.figures().loads), (0, 5));
}

#[test]
fn the_environment_names_the_cache_and_its_password_is_not_shown() {
    const SERVER: &str = env!("CARGO_BIN_EXE_bookcomments-server");
    let env = [("BOOKCOMMENTS_CACHE_URL", "redis://:pa55@cache:6379/1"), ("BOOKCOMMENTS_CACHE_TTL", "7s")];
    let (code, out, err) = Process::run(SERVER, &["--print-config"], &env);
    assert_eq!(code, Some(0), "{err}");
    let line = |key: &str| out.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {out}"));
    let url = line("cache.url");
    assert!(url.contains("redis://:***@cache:6379/1") && url.contains("env BOOKCOMMENTS_CACHE_URL"), "{url}");
    assert!(line("cache.ttl").contains("7s") && line("cache.prefix").contains("bookcomments:"), "{out}");
    assert!(!out.contains("pa55"));

    let wrong = [("BOOKCOMMENTS_CACHE_URL", "redis://:pa55@cache:port")];
    let (code, _, err) = Process::run(SERVER, &["--check-config"], &wrong);
    assert_eq!(code, Some(1));
    assert!(err.contains("cache.url") && err.contains("BOOKCOMMENTS_CACHE_URL") && !err.contains("pa55"), "{err}");
}
