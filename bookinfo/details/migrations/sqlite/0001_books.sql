CREATE TABLE details_books (
    id        INTEGER NOT NULL PRIMARY KEY,
    name      TEXT    NOT NULL,
    author    TEXT    NOT NULL,
    published TEXT    NOT NULL,
    intro     TEXT    NOT NULL
);
