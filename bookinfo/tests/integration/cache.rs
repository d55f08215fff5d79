//! A comment that was posted is seen at once, at both services and by both ways, whatever is kept where.

use bookcommon::testing::http;
use kit::cache::{CacheConfig, testing};

use crate::support::Demo;

async fn a_posted_comment_is_seen_at_once(cache: CacheConfig) {
    let demo = Demo::start(|config| (config.details.cache, config.comments.cache) = (cache.clone(), cache)).await;
    let (details, comments) = (demo.addresses.details_http, demo.addresses.comments_http);
    let calls = tokio::task::spawn_blocking(move || {
        for number in 0..20 {
            let content = format!("comment {number}!");
            let body = format!(r#"{{"id": 1, "content": "{content}"}}"#);
            for _ in 0..2 {
                let book = http(&details.to_string(), "GET", "/v1/detail?id=1", "");
                assert_eq!(book.body.matches("createdAt").count(), 3 + number, "{}", book.body);
            }
            assert_eq!(http(&comments.to_string(), "POST", "/v1/post", &body).status, 200);
            for (address, target) in [(comments, "/v1/get?id=1"), (details, "/v1/detail?id=1")] {
                let answer = http(&address.to_string(), "GET", target, "");
                assert!(answer.status == 200 && answer.body.contains(&content), "{target}: {}", answer.body);
            }
        }
    });
    calls.await.unwrap();
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    a_posted_comment_is_seen_at_once(CacheConfig::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_redis() {
    let Some(config) = testing::redis().await else { return };
    a_posted_comment_is_seen_at_once(config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_redis_that_is_away() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    a_posted_comment_is_seen_at_once(testing::at(format!("redis://{free}"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_none() {
    a_posted_comment_is_seen_at_once(CacheConfig { url: "off".to_owned(), ..CacheConfig::default() }).await;
}
