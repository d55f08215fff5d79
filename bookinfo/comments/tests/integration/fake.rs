//! A store in memory, for tests of what stands above it.

use std::sync::{Arc, Mutex, MutexGuard};

use bookcomments::{
    models::Comment,
    repository::{Comments, RepositoryError},
};

/// Clones share what is stored. A clone that did not come through the service is to it what another instance is.
#[derive(Clone, Default)]
pub(crate) struct FakeComments(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    comments: Vec<Comment>,
    failure: Option<fn() -> RepositoryError>,
    looks: usize,
}

impl FakeComments {
    /// Every call fails with this from now on, or none any more.
    pub(crate) fn fail(&self, failure: Option<fn() -> RepositoryError>) {
        self.0.lock().unwrap().failure = failure;
    }

    /// How often somebody looked for new comments.
    pub(crate) fn looks(&self) -> usize {
        self.0.lock().unwrap().looks
    }

    /// Stores a comment as another instance would: nobody here is told.
    pub(crate) fn insert(&self, book_id: i64, content: &str) -> Comment {
        let mut state = self.0.lock().unwrap();
        let id = i64::try_from(state.comments.len()).unwrap() + 1;
        let created_at = "2026-01-31T08:05:09.120Z".to_owned();
        let comment = Comment { id, book_id, content: content.to_owned(), created_at };
        state.comments.push(comment.clone());
        comment
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, RepositoryError> {
        let state = self.0.lock().unwrap();
        match state.failure {
            Some(failure) => Err(failure()),
            None => Ok(state),
        }
    }
}

impl Comments for FakeComments {
    async fn list(&self, book_id: i64, limit: u32) -> Result<Vec<Comment>, RepositoryError> {
        let state = self.state()?;
        let mut found: Vec<_> = state.comments.iter().filter(|one| one.book_id == book_id).cloned().collect();
        Ok(found.split_off(found.len().saturating_sub(limit.try_into().unwrap())))
    }

    async fn after(&self, book_id: i64, after_id: i64, limit: u32) -> Result<Vec<Comment>, RepositoryError> {
        self.0.lock().unwrap().looks += 1;
        let state = self.state()?;
        let new = state.comments.iter().filter(|one| one.book_id == book_id && one.id > after_id);
        Ok(new.take(limit.try_into().unwrap()).cloned().collect())
    }

    async fn last_id(&self, book_id: i64) -> Result<i64, RepositoryError> {
        let state = self.state()?;
        Ok(state.comments.iter().rfind(|one| one.book_id == book_id).map_or(0, |one| one.id))
    }

    async fn add(&self, book_id: i64, content: &str) -> Result<Comment, RepositoryError> {
        drop(self.state()?);
        Ok(self.insert(book_id, content))
    }
}
