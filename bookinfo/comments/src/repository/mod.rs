//! Where the comments service keeps its comments.
//!
//! [`Comments`] is the contract that the service is written against; [`SqlComments`] fulfils it on SQLite, MySQL,
//! MariaDB and PostgreSQL. A test of the service can hand in its own `Comments` instead. The tables belong to this
//! service alone: whoever else wants a comment asks the service.

mod late;
mod schema;
mod seeds;
mod sql;
mod timestamp;

use std::future::Future;

pub use kit::sql::{DatabaseConfig, SqlError as RepositoryError};
pub use sql::SqlComments;

use crate::models::Comment;

/// Where the comments are unless the settings say otherwise: a file under the working directory, so that the service
/// starts with nothing installed.
pub const DEFAULT_URL: &str = "sqlite://data/comments.db";

/// The longest content that can be stored, in bytes of UTF-8: what the `TEXT` of MySQL holds.
pub const MAX_CONTENT_BYTES: usize = 65_535;

/// A store of comments.
///
/// Every method may be called from many tasks at once. No method limits its own running time beyond the wait for a
/// connection: the deadline of the call does that by dropping the future.
///
/// Each method fails with [`RepositoryError::is_unavailable`] when the store cannot be asked now, and with an internal
/// error when it is damaged; what else can happen is said at the method.
pub trait Comments: Send + Sync + 'static {
    /// The newest comments on a book, at most `limit`, in the order of their ids: newest last.
    ///
    /// A book without comments and a book nobody has heard of both have an empty list.
    ///
    /// # Cancel safety
    /// Reads only: dropping the future loses nothing.
    fn list(&self, book_id: i64, limit: u32) -> impl Future<Output = Result<Vec<Comment>, RepositoryError>> + Send;

    /// The comments on a book that follow `after_id`, at most `limit`, in the order of their ids: oldest first.
    ///
    /// A watcher that asks again and again with the last id it has seen misses none: comments on one book become
    /// visible in the order of their ids.
    ///
    /// # Cancel safety
    /// Reads only: dropping the future loses nothing.
    fn after(
        &self,
        book_id: i64,
        after_id: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Comment>, RepositoryError>> + Send;

    /// The id of the newest comment on a book, or 0 when it has none: where a watcher starts that wants only what is to
    /// come.
    ///
    /// # Cancel safety
    /// Reads only: dropping the future loses nothing.
    fn last_id(&self, book_id: i64) -> impl Future<Output = Result<i64, RepositoryError>> + Send;

    /// Stores a comment and returns it with its id and time. Once this returned, the comment survives a crash of the
    /// process and, as far as the server is set to that, of the machine.
    ///
    /// # Errors
    /// [`RepositoryError::is_rejected`] when no backend could keep this content: it is longer than
    /// [`MAX_CONTENT_BYTES`] or contains a NUL character. [`RepositoryError::is_read_only`] when the database takes no
    /// writes. After [`RepositoryError::is_unavailable`] the comment may have been stored: the answer can be lost after
    /// the work was done.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the comment stored or not stored, never half.
    fn add(&self, book_id: i64, content: &str) -> impl Future<Output = Result<Comment, RepositoryError>> + Send;
}
