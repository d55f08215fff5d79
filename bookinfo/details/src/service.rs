//! What a call does: a book from the store, and what readers say about it from another service.
//!
//! [`DetailsService`] is written against two contracts, a store of books and the trait of the comments service. So it runs
//! with a client of that service, with the service itself in the same process, or with doubles of both, as here:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bookcomments::{repository::SqlComments, service::CommentsService};
//! use bookdetails::{
//!     proto::details::{BookDetails, DetailReq},
//!     repository::{DatabaseConfig, SqlBooks},
//!     service::DetailsService,
//! };
//! use kit::Context;
//!
//! let database = DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new("sqlite::memory:") };
//! let comments = CommentsService::new(SqlComments::connect(&database).await?);
//! let service = DetailsService::new(SqlBooks::connect(&database).await?, comments);
//!
//! let answer = service.detail(&Context::background(), DetailReq { id: 1 }).await?;
//! assert_eq!(answer.data.unwrap_or_default().comments.len(), 3);
//! # Ok(()) }
//! ```

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bookcomments::proto::comments::{BookComments, Comment, GetReq};
use kit::{Context, Error, cache::Cached};
use tokio::time::timeout;

use crate::{
    models::Book,
    proto::details::{BookDetails, DetailReq, DetailResp, DetailRespData},
    repository::Books,
};

/// How long a book waits for its comments: the answer is good without them, and a person notices a second.
pub const COMMENTS_TIMEOUT: Duration = Duration::from_secs(1);

/// What the original answers to every call that went well.
const CODE: i32 = 200;
const MSG: &str = "success";

/// The details service on a store of books and a comments service.
///
/// Comments are an extra: when they can't be had, or not in time, the answer comes without them. The log says so once when
/// it begins and once when it is over, not for every call.
///
/// Books may be kept in a cache: nobody changes one through this service, so they may be as old as the cache allows. Comments
/// are never kept here, so that a new one is seen at once: the comments service keeps its own and knows when they change.
#[derive(Debug)]
pub struct DetailsService<B, C> {
    books: B,
    kept: Option<Cached<DetailRespData>>,
    comments: C,
    comments_timeout: Duration,
    comments_away: AtomicBool,
}

impl<B: Books, C: BookComments> DetailsService<B, C> {
    /// The service on this store and this comments service.
    pub fn new(books: B, comments: C) -> Self {
        Self { books, kept: None, comments, comments_timeout: COMMENTS_TIMEOUT, comments_away: AtomicBool::new(false) }
    }

    /// Sets how long a book waits for its comments, in the place of [`COMMENTS_TIMEOUT`].
    #[must_use]
    pub fn with_comments_timeout(mut self, timeout: Duration) -> Self {
        self.comments_timeout = timeout;
        self
    }

    /// Keeps books in a cache. Without one every book is read from the store.
    #[must_use]
    pub fn with_cache(mut self, kept: Cached<DetailRespData>) -> Self {
        self.kept = Some(kept);
        self
    }

    /// The book, without its comments.
    async fn book(&self, id: i64) -> Result<DetailRespData, Error> {
        match &self.kept {
            Some(kept) => kept.get_or_load(&id.to_string(), || self.find(id)).await,
            None => self.find(id).await,
        }
    }

    async fn find(&self, id: i64) -> Result<DetailRespData, Error> {
        let book = self.books.find(id).await?.ok_or_else(|| {
            Error::not_found(format!("there is no book {id}"))
                .with_reason("BOOK_NOT_FOUND", "details.BookDetails")
                .with_reason_metadata("id", id.to_string())
        })?;
        data(book)
    }

    /// The comments on a book; none when they can't be had.
    async fn comments(&self, cx: &Context, id: i64) -> Vec<Comment> {
        // A caller in a hurry gets the book: half of its time is left for the way back.
        let limit = cx.remaining().map_or(self.comments_timeout, |left| self.comments_timeout.min(left / 2));
        let cx = cx.clone().with_timeout(limit);
        // The deadline travels to the other service; whether it is kept there is not left to it.
        let answer = timeout(limit, self.comments.get(&cx, GetReq { id })).await;
        match answer.unwrap_or_else(|_| Err(Error::deadline_exceeded("the comments service did not answer in time"))) {
            Ok(answer) => {
                if self.comments_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("books have comments again");
                }
                answer.data
            }
            Err(error) => {
                let error = error.to_log();
                if self.comments_away.swap(true, Ordering::Relaxed) {
                    tracing::debug!(%error, "no comments");
                } else {
                    tracing::warn!(%error, "books are shown without comments until the comments service answers");
                }
                Vec::new()
            }
        }
    }
}

impl<B: Books, C: BookComments> BookDetails for DetailsService<B, C> {
    async fn detail(&self, cx: &Context, request: DetailReq) -> Result<DetailResp, Error> {
        let id = request.id;
        check_id(id)?;
        // Both at once; a book that is not there does not wait for its comments.
        let (book, comments) = tokio::try_join!(self.book(id), async { Ok::<_, Error>(self.comments(cx, id).await) })?;
        Ok(DetailResp { code: CODE, msg: MSG.to_owned(), data: Some(DetailRespData { comments, ..book }) })
    }
}

fn data(book: Book) -> Result<DetailRespData, Error> {
    // The original's answer has 32 bits for what its request has 64 for.
    let id = i32::try_from(book.id).map_err(|_| {
        Error::internal("internal error").with_log(format!("the id of book {} does not fit the answer", book.id))
    })?;
    let intro = format!("{}, {}. {}", book.author, book.published, book.intro);
    Ok(DetailRespData { id, name: book.name, intro, comments: Vec::new() })
}

fn check_id(id: i64) -> Result<(), Error> {
    if id > 0 {
        return Ok(());
    }
    let rule = format!("is {id}, must be 1 or greater");
    Err(Error::invalid_argument(format!("id: {rule}")).with_field_violation("id", rule))
}
