//! The rules of the service, without a database and without a network: the test to copy for a service of your own.

use std::{sync::atomic::Ordering, time::Duration};

use bookdetails::{
    proto::details::{BookDetails, DetailReq, DetailRespData},
    repository::RepositoryError,
    service::DetailsService,
};
use kit::{Code, Context, Error};
use tokio::time::Instant;

use crate::fake::{FakeBooks, FakeComments, Mood};

fn service(mood: Mood) -> (DetailsService<FakeBooks, FakeComments>, FakeComments) {
    let comments = FakeComments::new(mood);
    (DetailsService::new(FakeBooks::with(&[1, 2]), comments.clone()), comments)
}

async fn detail(service: &impl BookDetails, cx: &Context, id: i64) -> Result<DetailRespData, Error> {
    let answer = service.detail(cx, DetailReq { id }).await?;
    assert_eq!((answer.code, answer.msg.as_str()), (200, "success"));
    Ok(answer.data.expect("an answer has a book"))
}

#[tokio::test]
async fn a_book_comes_with_its_comments() {
    let (service, _) = service(Mood::Answer);
    let book = detail(&service, &Context::background(), 2).await.unwrap();
    assert_eq!((book.id, book.name.as_str()), (2, "Book 2"));
    assert_eq!(book.intro, "Somebody, 1592. Much happens.");
    assert_eq!(book.comments.len(), 1);
    assert_eq!(book.comments[0].content, "about 2");
}

#[tokio::test]
async fn ids_are_positive_and_nobody_is_asked_about_others() {
    let (service, comments) = service(Mood::Answer);
    for id in [0, -1, i64::MIN] {
        let error = detail(&service, &Context::background(), id).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.field_violations()[0].field, "id");
    }
    assert_eq!(comments.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_book_that_is_not_there_is_not_found_whatever_the_comments_do() {
    for mood in [Mood::Answer, Mood::Fail, Mood::Hang] {
        let (service, _) = service(mood);
        let start = Instant::now();
        let error = detail(&service, &Context::background(), 9).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::NotFound, "there is no book 9"));
        assert_eq!(error.reason().unwrap().reason, "BOOK_NOT_FOUND");
        assert_eq!(start.elapsed(), Duration::ZERO, "it does not wait for comments");
    }
}

#[tokio::test(start_paused = true)]
async fn comments_that_cannot_be_had_are_left_out() {
    for (mood, wait) in [(Mood::Fail, Duration::ZERO), (Mood::Hang, Duration::from_secs(1))] {
        let (service, comments) = service(mood);
        let start = Instant::now();
        let book = detail(&service, &Context::background(), 1).await.unwrap();
        assert_eq!((book.name.as_str(), book.comments.len()), ("Book 1", 0));
        assert!((wait..=wait + Duration::from_millis(2)).contains(&start.elapsed()), "{:?}", start.elapsed());

        comments.mood.send_replace(Mood::Answer);
        let book = detail(&service, &Context::background(), 1).await.unwrap();
        assert_eq!(book.comments.len(), 1, "they are back as soon as the service is");
    }
}

#[tokio::test(start_paused = true)]
async fn the_caller_s_call_goes_on_to_the_comments() {
    let (service, comments) = service(Mood::Answer);
    let cx = Context::background();
    detail(&service, &cx, 1).await.unwrap();
    let (id, left) = comments.last_call.borrow().clone().unwrap();
    assert_eq!((&id, left), (cx.request_id(), Some(Duration::from_secs(1))));
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_a_hurry_gets_the_book() {
    let (service, comments) = service(Mood::Hang);
    let cx = Context::background().with_timeout(Duration::from_millis(500));
    let start = Instant::now();
    assert_eq!(detail(&service, &cx, 1).await.unwrap().comments, []);
    assert!(start.elapsed() < Duration::from_millis(300), "half of its time is left");
    let (_, left) = comments.last_call.borrow().clone().unwrap();
    assert_eq!(left, Some(Duration::from_millis(250)));
}

#[tokio::test]
async fn what_fails_in_the_store_is_the_log_s_business() {
    for (failure, code) in [
        ((|| RepositoryError::unavailable("host db7")) as fn() -> RepositoryError, Code::Unavailable),
        (|| RepositoryError::internal("host db7"), Code::Internal),
    ] {
        let service = DetailsService::new(FakeBooks(Err(failure)), FakeComments::new(Mood::Answer));
        let error = detail(&service, &Context::background(), 1).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!error.message().contains("db7") && error.to_log().to_string().contains("db7"));
    }
}

#[tokio::test]
async fn an_id_that_the_answer_cannot_hold_is_our_defect() {
    let id = i64::from(i32::MAX) + 1;
    let service = DetailsService::new(FakeBooks::with(&[id]), FakeComments::new(Mood::Answer));
    assert_eq!(detail(&service, &Context::background(), id).await.unwrap_err().code(), Code::Internal);
}
