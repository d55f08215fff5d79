//! The sample comments.

/// The book that the samples are about: the first of the details service's samples.
pub(super) const BOOK_ID: i64 = 1;

/// Content and time of each sample, oldest first. The times are fixed, so that every installation shows the same.
pub(super) const COMMENTS: &[(&str, &str)] = &[
    ("Keep a family tree at hand for the first ten chapters. Later you know everybody.", "2024-03-02T09:15:00.000Z"),
    (
        "The poems lose a lot in translation, the kitchen gossip loses nothing. 红楼梦 still wins.",
        "2024-05-19T20:41:30.000Z",
    ),
    ("Read it at twenty for the love story and at fifty for the account books 📚", "2024-11-08T06:02:12.000Z"),
];
