//! Where the details service keeps its books.
//!
//! [`Books`] is the contract that the service is written against; [`SqlBooks`] fulfils it on SQLite, MySQL, MariaDB and
//! PostgreSQL. A test of the service can hand in its own `Books` instead: see `tests/integration/service.rs`. The
//! tables belong to this service alone: whoever else wants a book asks the service.

mod late;
mod schema;
mod seeds;
mod sql;

use std::future::Future;

pub use kit::sql::{DatabaseConfig, SqlError as RepositoryError};
pub use sql::SqlBooks;

use crate::models::Book;

/// Where the books are unless the settings say otherwise: a file under the working directory, so that the service
/// starts with nothing installed.
pub const DEFAULT_URL: &str = "sqlite://data/details.db";

/// A store of books.
///
/// Every method may be called from many tasks at once. No method limits its own running time beyond the wait for a
/// connection: the deadline of the call does that by dropping the future.
pub trait Books: Send + Sync + 'static {
    /// The book with this id, or `None` when there is none.
    ///
    /// # Errors
    /// [`RepositoryError::is_unavailable`] when the store cannot be asked now; anything else is a defect.
    ///
    /// # Cancel safety
    /// Reads only: dropping the future loses nothing.
    fn find(&self, id: i64) -> impl Future<Output = Result<Option<Book>, RepositoryError>> + Send;
}
