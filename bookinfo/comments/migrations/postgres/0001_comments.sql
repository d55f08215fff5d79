CREATE TABLE comments_comments (
    id         BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    book_id    BIGINT NOT NULL,
    content    TEXT   NOT NULL,
    created_at TEXT   NOT NULL
);

CREATE INDEX comments_comments_by_book ON comments_comments (book_id, id);

-- Whoever adds a comment holds the row of its book's slot until the commit, so that ids become
-- visible in their order.
CREATE TABLE comments_slots (
    slot INT NOT NULL PRIMARY KEY
);

INSERT INTO comments_slots (slot)
VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);
