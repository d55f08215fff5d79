//! Comments that come later than the service.

use kit::sql::Late;

use super::{Comments, RepositoryError};
use crate::models::Comment;

impl<C: Comments> Comments for Late<C> {
    async fn list(&self, book_id: i64, limit: u32) -> Result<Vec<Comment>, RepositoryError> {
        self.get()?.list(book_id, limit).await
    }

    async fn after(&self, book_id: i64, after_id: i64, limit: u32) -> Result<Vec<Comment>, RepositoryError> {
        self.get()?.after(book_id, after_id, limit).await
    }

    async fn last_id(&self, book_id: i64) -> Result<i64, RepositoryError> {
        self.get()?.last_id(book_id).await
    }

    async fn add(&self, book_id: i64, content: &str) -> Result<Comment, RepositoryError> {
        self.get()?.add(book_id, content).await
    }
}
