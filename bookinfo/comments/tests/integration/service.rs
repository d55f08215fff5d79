//! The rules of the service, without a database and without a network: the test to copy for a service of your own.

use bookcomments::{
    proto::comments::{BookComments, GetReq, GetResp, PostReq},
    repository::RepositoryError,
    service::{CommentsService, MAX_CONTENT},
};
use kit::{Code, Context, Error};

use crate::fake::FakeComments;

fn service() -> (CommentsService<FakeComments>, FakeComments) {
    let store = FakeComments::default();
    (CommentsService::new(store.clone()), store)
}

async fn post(service: &impl BookComments, id: i64, content: &str) -> Result<(), Error> {
    let answer = service.post(&Context::background(), PostReq { id, content: content.to_owned() }).await?;
    assert_eq!((answer.code, answer.msg.as_str()), (200, "success"));
    Ok(())
}

async fn get(service: &impl BookComments, id: i64) -> Result<GetResp, Error> {
    service.get(&Context::background(), GetReq { id }).await
}

fn fields(error: &Error) -> Vec<&str> {
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    error.field_violations().iter().map(|violation| violation.field.as_str()).collect()
}

#[tokio::test]
async fn what_is_posted_is_listed_as_it_went_the_oldest_first() {
    let (service, _) = service();
    for content in ["first", " second \n", "第三 📚"] {
        post(&service, 7, content).await.unwrap();
        post(&service, 8, "of another book").await.unwrap();
    }
    let answer = get(&service, 7).await.unwrap();
    assert_eq!((answer.code, answer.msg.as_str()), (200, "success"));
    let contents: Vec<_> = answer.data.iter().map(|comment| comment.content.as_str()).collect();
    assert_eq!(contents, ["first", " second \n", "第三 📚"]);
    assert!(answer.data.iter().all(|comment| comment.created_at.ends_with('Z')));
}

#[tokio::test]
async fn a_book_without_comments_has_an_empty_list() {
    let (service, _) = service();
    assert_eq!(get(&service, i64::MAX).await.unwrap().data, []);
}

#[tokio::test]
async fn ids_are_positive() {
    let (service, _) = service();
    for id in [0, -1, i64::MIN] {
        assert_eq!(fields(&get(&service, id).await.unwrap_err()), ["id"]);
        assert_eq!(fields(&post(&service, id, "text").await.unwrap_err()), ["id"]);
        let watch = bookcomments::proto::comments::WatchReq { id };
        assert_eq!(fields(&service.watch(&Context::background(), watch).await.unwrap_err()), ["id"]);
    }
}

#[tokio::test]
async fn content_has_a_length_and_something_to_read() {
    let (service, store) = service();
    let longest = "書".repeat(MAX_CONTENT);
    post(&service, 1, &longest).await.unwrap();
    post(&service, 1, "x").await.unwrap();
    for content in ["", " \t\r\n\u{3000}", &format!("{longest}x")] {
        assert_eq!(fields(&post(&service, 1, content).await.unwrap_err()), ["content"]);
    }
    let both = post(&service, 0, "").await.unwrap_err();
    assert_eq!(fields(&both), ["id", "content"], "all that is wrong is told at once");
    assert_eq!(store.insert(1, "").id, 3, "nothing else was stored");
}

#[tokio::test]
async fn what_fails_in_the_store_is_the_log_s_business() {
    let (service, store) = service();
    for (failure, code) in [
        ((|| RepositoryError::unavailable("host db7")) as fn() -> RepositoryError, Code::Unavailable),
        (|| RepositoryError::read_only("host db7"), Code::Unavailable),
        (|| RepositoryError::internal("host db7"), Code::Internal),
    ] {
        store.fail(Some(failure));
        for error in [post(&service, 1, "text").await.unwrap_err(), get(&service, 1).await.unwrap_err()] {
            assert_eq!(error.code(), code);
            assert!(!error.message().contains("db7") && error.to_log().to_string().contains("db7"));
            assert_eq!(error.retry_delay().is_some(), code == Code::Unavailable);
        }
    }
    store.fail(Some(|| RepositoryError::rejected("content", "must not contain a NUL character")));
    assert_eq!(fields(&post(&service, 1, "a\0b").await.unwrap_err()), ["content"]);
    store.fail(None);
    post(&service, 1, "it goes on").await.unwrap();
}

#[tokio::test]
async fn an_answer_never_outgrows_what_clients_take() {
    let (service, store) = service();
    let long = "📚".repeat(MAX_CONTENT);
    for number in 0..300 {
        store.insert(1, &format!("{number} {long}"));
    }
    let answer = get(&service, 1).await.unwrap();
    let length = kit::Payload::encoded_len(&answer);
    assert!((2 << 20..4 << 20).contains(&length), "{length}");
    assert!(answer.data.last().unwrap().content.starts_with("299 "), "the newest are there");
}
