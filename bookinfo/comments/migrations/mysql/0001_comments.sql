-- utf8mb4 is named because the default of old servers cannot hold every Chinese character or emoji.
CREATE TABLE comments_comments (
    id         BIGINT   NOT NULL PRIMARY KEY AUTO_INCREMENT,
    book_id    BIGINT   NOT NULL,
    content    TEXT     NOT NULL,
    created_at CHAR(24) NOT NULL,
    INDEX comments_comments_by_book (book_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Whoever adds a comment holds the row of its book's slot until the commit, so that ids become
-- visible in their order.
CREATE TABLE comments_slots (
    slot INT NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

INSERT INTO comments_slots (slot)
VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);
