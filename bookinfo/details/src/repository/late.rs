//! Books that come later than the service.

use kit::sql::Late;

use super::{Books, RepositoryError};
use crate::models::Book;

impl<B: Books> Books for Late<B> {
    async fn find(&self, id: i64) -> Result<Option<Book>, RepositoryError> {
        self.get()?.find(id).await
    }
}
