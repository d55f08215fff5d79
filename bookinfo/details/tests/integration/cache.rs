//! Books that are kept; comments never are.

use bookdetails::{
    proto::details::{BookDetails, DetailReq, DetailRespData},
    repository::RepositoryError,
    service::DetailsService,
};
use kit::{
    Code, Context,
    cache::{CacheConfig, Cached, testing},
};

use crate::fake::{FakeBooks, FakeComments, Mood};

fn service(books: FakeBooks, kept: &Cached<DetailRespData>) -> (DetailsService<FakeBooks, FakeComments>, FakeComments) {
    let comments = FakeComments::new(Mood::Answer);
    (DetailsService::new(books, comments.clone()).with_cache(kept.clone()), comments)
}

async fn detail(service: &impl BookDetails, id: i64) -> DetailRespData {
    service.detail(&Context::background(), DetailReq { id }).await.unwrap().data.unwrap()
}

async fn books_outlive_an_outage_of_their_store(config: &CacheConfig) {
    let kept = Cached::new("books:", config.open().unwrap(), config);
    let (healthy, comments) = service(FakeBooks::with(&[1]), &kept);
    let book = detail(&healthy, 1).await;
    assert_eq!((book.name.as_str(), book.comments.len()), ("Book 1", 1));

    let (ill, _) = service(FakeBooks(Err(|| RepositoryError::unavailable("host db7"))), &kept);
    assert_eq!(detail(&ill, 1).await, book);
    let error = ill.detail(&Context::background(), DetailReq { id: 2 }).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "what is not kept is not there");

    comments.mood.send_replace(Mood::Fail);
    assert_eq!(detail(&healthy, 1).await.comments, [], "comments are of now");
    let missing = healthy.detail(&Context::background(), DetailReq { id: 2 }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let (later, _) = service(FakeBooks::with(&[1, 2]), &kept);
    assert_eq!(detail(&later, 2).await.name, "Book 2", "that there is none is not kept");
    assert_eq!(kept.figures().loads, 4);
}

#[tokio::test]
async fn in_memory_books_outlive_an_outage_of_their_store() {
    books_outlive_an_outage_of_their_store(&CacheConfig::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_redis_books_outlive_an_outage_of_their_store() {
    let Some(config) = testing::redis().await else { return };
    books_outlive_an_outage_of_their_store(&config).await;
}
