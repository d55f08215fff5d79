-- AUTOINCREMENT: without it SQLite gives the id of a deleted last row again, and a watcher would
-- miss its successor.
CREATE TABLE comments_comments (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    book_id    INTEGER NOT NULL,
    content    TEXT    NOT NULL,
    created_at TEXT    NOT NULL
);

CREATE INDEX comments_comments_by_book ON comments_comments (book_id, id);
