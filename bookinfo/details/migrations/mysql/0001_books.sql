-- utf8mb4 is named because the default of old servers cannot hold every Chinese character or emoji.
CREATE TABLE details_books (
    id        BIGINT       NOT NULL PRIMARY KEY,
    name      VARCHAR(255) NOT NULL,
    author    VARCHAR(255) NOT NULL,
    published VARCHAR(32)  NOT NULL,
    intro     TEXT         NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
