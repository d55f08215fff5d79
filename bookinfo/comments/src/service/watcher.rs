//! One caller who watches one book.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::stream::try_unfold;
use kit::{Error, Streaming};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::WATCH_INTERVAL;
use crate::{
    models,
    proto::comments::Comment,
    repository::{Comments, RepositoryError},
};

/// So many comments are read at a time: all of one answer stay in memory until the caller has read them.
const BATCH: u32 = 64;

/// So long may the store be away before a watcher is told: most restarts of a database are over by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks for new comments whenever one was posted here, and every so often, because others may have been posted elsewhere.
///
/// It is pulled: nothing runs while the caller does not read, and dropping the stream ends it.
pub(super) struct Watcher<C> {
    comments: Arc<C>,
    book: i64,
    last: i64,
    posted: watch::Receiver<()>,
    unread: VecDeque<models::Comment>,
    interval: Duration,
    away_since: Option<Instant>,
    stop: CancellationToken,
}

impl<C: Comments> Watcher<C> {
    pub(super) fn new(comments: Arc<C>, book: i64, last: i64, posted: watch::Receiver<()>) -> Self {
        Self {
            comments,
            book,
            last,
            posted,
            unread: VecDeque::new(),
            interval: WATCH_INTERVAL,
            away_since: None,
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    pub(super) fn with_stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    pub(super) fn into_stream(self) -> Streaming<Comment> {
        Streaming::new(try_unfold(self, |mut watcher| async move {
            let next = watcher.next().await?;
            Ok(Some((Comment::from(next), watcher)))
        }))
    }

    /// The next comment. A stop of the server is an error: a plain end would look as if there were nothing more to come.
    async fn next(&mut self) -> Result<models::Comment, Error> {
        loop {
            if let Some(comment) = self.unread.pop_front() {
                return Ok(comment);
            }
            let stop = self.stop.clone();
            let going_on = tokio::select! {
                biased;
                () = stop.cancelled() => false,
                result = self.look() => {
                    result?;
                    true
                }
            };
            if !going_on {
                return Err(Error::unavailable("the service stops: call again"));
            }
            if self.unread.is_empty() {
                self.rest().await;
            }
        }
    }

    /// Reads what is new. A store that is away for a moment is no reason to send the caller away.
    async fn look(&mut self) -> Result<(), RepositoryError> {
        // Before the look: a comment that comes in during it leads to another.
        self.posted.mark_unchanged();
        match self.comments.after(self.book, self.last, BATCH).await {
            Ok(new) => {
                self.away_since = None;
                self.last = new.last().map_or(self.last, |comment| comment.id);
                self.unread = new.into();
                Ok(())
            }
            Err(error) if error.is_unavailable() => {
                let since = *self.away_since.get_or_insert_with(|| {
                    tracing::warn!(%error, book = self.book, "a watcher waits for the store");
                    Instant::now()
                });
                if since.elapsed() < PATIENCE { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    async fn rest(&mut self) {
        // While the store is away it is asked no more often than the interval says, whatever is posted.
        let posted = async {
            if self.away_since.is_some() || self.posted.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = posted => {}
            () = sleep(self.interval) => {}
        }
    }
}
