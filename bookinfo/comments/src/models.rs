//! What the comments service stores, free of any wire or database type.

/// A reader's comment on a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Given by the database, from 1 upwards with gaps; a later comment on the same book has a greater id.
    pub id: i64,
    /// The book it is about. Books belong to another service: nothing here says that it exists.
    pub book_id: i64,
    /// The text, exactly as it was sent.
    pub content: String,
    /// When it was stored, by the clock of the process that stored it: RFC 3339 in UTC with milliseconds, always
    /// `2026-01-31T08:05:09.120Z`. Sort by `id`: clocks differ between processes.
    pub created_at: String,
}
