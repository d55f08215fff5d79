//! What the details service stores, free of any wire or database type.

/// A book as the service knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The number by which callers ask for the book; chosen by whoever enters it, never by the database.
    pub id: i64,
    /// The title, with the original one in brackets where the book is a translation.
    pub name: String,
    /// Who wrote it, as printed on a title page.
    pub author: String,
    /// When it first appeared: ISO 8601 as far as it is known (`1592`, `1791-12`), because old books have no day.
    pub published: String,
    /// A few sentences for somebody who has not read it.
    pub intro: String,
}
