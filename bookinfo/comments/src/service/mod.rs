//! What the calls do: the rules of the service, on top of any store of comments.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bookcomments::{
//!     proto::comments::{BookComments, GetReq, PostReq},
//!     repository::{DatabaseConfig, SqlComments},
//!     service::CommentsService,
//! };
//! use kit::Context;
//!
//! let database = DatabaseConfig { migrate: true, ..DatabaseConfig::new("sqlite::memory:") };
//! let service = CommentsService::new(SqlComments::connect(&database).await?);
//!
//! let cx = Context::background();
//! service.post(&cx, PostReq { id: 7, content: "Read it twice.".to_owned() }).await?;
//! let answer = service.get(&cx, GetReq { id: 7 }).await?;
//! assert_eq!(answer.data[0].content, "Read it twice.");
//! # Ok(()) }
//! ```

mod news;
mod watcher;

use std::{sync::Arc, time::Duration};

use kit::{Context, Error, Payload as _, Streaming, cache::Cached};
use tokio_util::sync::CancellationToken;

use crate::{
    models,
    proto::comments::{BookComments, Comment, GetReq, GetResp, PostReq, PostResp, WatchReq},
    repository::Comments,
};
use news::News;
use watcher::Watcher;

/// How often a watcher looks for comments that came in through another instance: a person does not notice a second.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The longest comment, in characters: some 600 words. Four bytes each fit the store.
pub const MAX_CONTENT: usize = 4000;

/// The most comments in one answer, the newest ones. There are no pages in the original's messages.
const MAX_LISTED: u32 = 2000;

/// The most bytes of comments in one answer: the 4 MiB that gRPC clients take, less room for what else an answer holds.
const MAX_LISTED_BYTES: usize = 3 * 1024 * 1024;

/// What the original answers to every call that went well.
const CODE: i32 = 200;
const MSG: &str = "success";

/// The comments service on a store.
///
/// Posting, listing and watching share the store and nothing else, so any number of instances may run on one database. Lists
/// may be kept in a cache: a new comment outdates the list of its book, there and wherever it is being made.
#[derive(Debug)]
pub struct CommentsService<C> {
    comments: Arc<C>,
    lists: Option<Cached<GetResp>>,
    news: News,
    watch_interval: Duration,
    stop: CancellationToken,
}

impl<C: Comments> CommentsService<C> {
    /// The service on this store.
    pub fn new(comments: C) -> Self {
        Self {
            comments: Arc::new(comments),
            lists: None,
            news: News::default(),
            watch_interval: WATCH_INTERVAL,
            stop: CancellationToken::new(),
        }
    }

    /// Sets how often watchers look for what came in through other instances, in the place of [`WATCH_INTERVAL`].
    #[must_use]
    pub fn with_watch_interval(mut self, interval: Duration) -> Self {
        self.watch_interval = interval;
        self
    }

    /// Keeps lists of comments in a cache. Without one every list is read from the store.
    #[must_use]
    pub fn with_cache(mut self, lists: Cached<GetResp>) -> Self {
        self.lists = Some(lists);
        self
    }

    /// Ends all watching when `stop` is cancelled, with `UNAVAILABLE`, so that watchers call again: otherwise a stream that never
    /// ends would hold up the stop of the server.
    #[must_use]
    pub fn with_stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    async fn list(&self, book: i64) -> Result<GetResp, Error> {
        let comments = self.comments.list(book, MAX_LISTED).await?;
        Ok(GetResp { code: CODE, msg: MSG.to_owned(), data: newest(comments, MAX_LISTED_BYTES) })
    }
}

impl<C: Comments> BookComments for CommentsService<C> {
    /// Nobody here knows which books there are, so any positive number is taken.
    async fn post(&self, _: &Context, request: PostReq) -> Result<PostResp, Error> {
        check_post(&request)?;
        let book = request.id.to_string();
        let change = self.lists.as_ref().map(|lists| lists.change(&book));
        let added = self.comments.add(request.id, &request.content).await;
        // Also when it failed: the answer may have been lost after the comment was stored.
        if let Some(change) = change {
            change.done().await;
        }
        self.news.publish(added?.book_id);
        Ok(PostResp { code: CODE, msg: MSG.to_owned() })
    }

    async fn get(&self, _: &Context, request: GetReq) -> Result<GetResp, Error> {
        check_id(request.id)?;
        match &self.lists {
            Some(lists) => lists.get_or_load(&request.id.to_string(), || self.list(request.id)).await,
            None => self.list(request.id).await,
        }
    }

    async fn watch(&self, _: &Context, request: WatchReq) -> Result<Streaming<Comment>, Error> {
        check_id(request.id)?;
        // Listening starts before the look at where the comments stand, so that none falls in between.
        let posted = self.news.subscribe(request.id);
        let last = self.comments.last_id(request.id).await?;
        let watcher = Watcher::new(Arc::clone(&self.comments), request.id, last, posted)
            .with_interval(self.watch_interval)
            .with_stop(self.stop.clone());
        Ok(watcher.into_stream())
    }
}

/// The newest of these comments that fit, still the oldest first.
fn newest(comments: Vec<models::Comment>, most_bytes: usize) -> Vec<Comment> {
    let mut room = most_bytes;
    let mut fitting: Vec<Comment> = comments
        .into_iter()
        .rev()
        .map(Comment::from)
        .take_while(|comment| match room.checked_sub(comment.encoded_len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .collect();
    fitting.reverse();
    fitting
}

impl From<models::Comment> for Comment {
    fn from(comment: models::Comment) -> Self {
        Self { content: comment.content, created_at: comment.created_at }
    }
}

fn check_id(id: i64) -> Result<(), Error> {
    violations([id_rule(id)])
}

fn check_post(request: &PostReq) -> Result<(), Error> {
    violations([id_rule(request.id), content_rule(&request.content)])
}

type Violation = (&'static str, String);

fn id_rule(id: i64) -> Option<Violation> {
    (id <= 0).then(|| ("id", format!("is {id}, must be 1 or greater")))
}

fn content_rule(content: &str) -> Option<Violation> {
    let length = content.chars().count();
    let rule = match length {
        _ if content.trim().is_empty() => format!("must have 1 to {MAX_CONTENT} characters that are not all blank"),
        _ if length > MAX_CONTENT => format!("has {length} characters, the most is {MAX_CONTENT}"),
        _ => return None,
    };
    Some(("content", rule))
}

/// One error for all that is wrong with a request.
fn violations<const N: usize>(found: [Option<Violation>; N]) -> Result<(), Error> {
    let found: Vec<Violation> = found.into_iter().flatten().collect();
    if found.is_empty() {
        return Ok(());
    }
    let text: Vec<String> = found.iter().map(|(field, rule)| format!("{field}: {rule}")).collect();
    let error = Error::invalid_argument(text.join("; "));
    Err(found.into_iter().fold(error, |error, (field, rule)| error.with_field_violation(field, rule)))
}
