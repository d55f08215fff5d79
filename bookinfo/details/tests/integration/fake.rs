//! Doubles of what the service stands on: a store of books and a comments service.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bookcomments::proto::comments::{BookComments, Comment, GetReq, GetResp, PostReq, PostResp, WatchReq};
use bookdetails::{
    models::Book,
    repository::{Books, RepositoryError},
};
use kit::{Context, Error, RequestId, Streaming};
use tokio::sync::watch;

/// Books in memory, or a store that is away.
pub(crate) struct FakeBooks(pub(crate) Result<BTreeMap<i64, Book>, fn() -> RepositoryError>);

impl FakeBooks {
    pub(crate) fn with(ids: &[i64]) -> Self {
        let book = |id| Book {
            id,
            name: format!("Book {id}"),
            author: "Somebody".to_owned(),
            published: "1592".to_owned(),
            intro: "Much happens.".to_owned(),
        };
        Self(Ok(ids.iter().map(|id| (*id, book(*id))).collect()))
    }
}

impl Books for FakeBooks {
    async fn find(&self, id: i64) -> Result<Option<Book>, RepositoryError> {
        match &self.0 {
            Ok(books) => Ok(books.get(&id).cloned()),
            Err(failure) => Err(failure()),
        }
    }
}

/// What a double of the comments service does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    Answer,
    Fail,
    Hang,
}

/// A comments service with one comment a book.
#[derive(Clone)]
pub(crate) struct FakeComments {
    pub(crate) mood: watch::Sender<Mood>,
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) last_call: watch::Sender<Option<(RequestId, Option<Duration>)>>,
}

impl FakeComments {
    pub(crate) fn new(mood: Mood) -> Self {
        Self { mood: watch::Sender::new(mood), asked: Arc::default(), last_call: watch::Sender::new(None) }
    }
}

impl BookComments for FakeComments {
    async fn post(&self, _: &Context, _: PostReq) -> Result<PostResp, Error> {
        Err(Error::unimplemented("nobody posts here"))
    }

    async fn get(&self, cx: &Context, request: GetReq) -> Result<GetResp, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.last_call.send_replace(Some((cx.request_id().clone(), cx.remaining())));
        let mood = *self.mood.borrow();
        match mood {
            Mood::Answer => {
                let comment = Comment { content: format!("about {}", request.id), created_at: String::new() };
                Ok(GetResp { code: 200, msg: "success".to_owned(), data: vec![comment] })
            }
            Mood::Fail => Err(Error::unavailable("away")),
            Mood::Hang => std::future::pending().await,
        }
    }

    async fn watch(&self, _: &Context, _: WatchReq) -> Result<Streaming<Comment>, Error> {
        Err(Error::unimplemented("nobody watches here"))
    }
}
