CREATE TABLE details_books (
    id        BIGINT NOT NULL PRIMARY KEY,
    name      TEXT   NOT NULL,
    author    TEXT   NOT NULL,
    published TEXT   NOT NULL,
    intro     TEXT   NOT NULL
);
