//! [`Comments`] in SQL.

use std::time::SystemTime;

use kit::sql::{Database, DatabaseConfig, Pool, on_exclusive, on_pool, unless_read_only};
use sqlx::Connection;

use super::{Comments, MAX_CONTENT_BYTES, RepositoryError, schema::SCHEMA, seeds, timestamp::rfc3339};
use crate::models::Comment;

type Row = (i64, i64, String, String);

const LIST_MYSQL: &str = "
    SELECT id, book_id, content, created_at FROM comments_comments
    WHERE book_id = ? ORDER BY id DESC LIMIT ?";
const LIST: &str = "
    SELECT id, book_id, content, created_at FROM comments_comments
    WHERE book_id = $1 ORDER BY id DESC LIMIT $2";

const AFTER_MYSQL: &str = "
    SELECT id, book_id, content, created_at FROM comments_comments
    WHERE book_id = ? AND id > ? ORDER BY id LIMIT ?";
const AFTER: &str = "
    SELECT id, book_id, content, created_at FROM comments_comments
    WHERE book_id = $1 AND id > $2 ORDER BY id LIMIT $3";

const LAST_ID_MYSQL: &str = "SELECT id FROM comments_comments WHERE book_id = ? ORDER BY id DESC LIMIT 1";
const LAST_ID: &str = "SELECT id FROM comments_comments WHERE book_id = $1 ORDER BY id DESC LIMIT 1";

const ADD_MYSQL: &str = "INSERT INTO comments_comments (book_id, content, created_at) VALUES (?, ?, ?)";
const ADD: &str = "INSERT INTO comments_comments (book_id, content, created_at) VALUES ($1, $2, $3)";
const ADD_POSTGRES: &str = "
    INSERT INTO comments_comments (book_id, content, created_at) VALUES ($1, $2, $3)
    RETURNING id";

const LOCK_SLOT_MYSQL: &str = "SELECT slot FROM comments_slots WHERE slot = ? FOR UPDATE";
const LOCK_SLOT_POSTGRES: &str = "SELECT slot FROM comments_slots WHERE slot = $1 FOR UPDATE";

/// As many as the migrations enter.
const SLOTS: i64 = 16;

const ANY_COMMENT: &str = "SELECT id FROM comments_comments LIMIT 1";

/// The comments in a SQLite file, or on a MySQL, MariaDB or PostgreSQL server.
///
/// Clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct SqlComments {
    database: Database,
}

impl SqlComments {
    /// Opens the database, then migrates and seeds it where `config` says so. One that takes no writes is left as it is.
    ///
    /// # Errors
    /// As [`Database::connect`] and [`SqlComments::seed`].
    ///
    /// # Cancel safety
    /// As [`Database::migrate`].
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, RepositoryError> {
        let comments = Self { database: Database::connect(config, &SCHEMA).await? };
        if config.seed {
            unless_read_only(comments.seed().await)?;
        }
        Ok(comments)
    }

    /// The database: to migrate, check or close it.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Enters the sample comments if there is no comment at all; never changes a row that is there. Safe to repeat,
    /// also from several processes at once.
    ///
    /// Not row by row as with books: the ids are the database's, so a sample that somebody deleted could not be told
    /// from one that was never there.
    ///
    /// # Errors
    /// [`RepositoryError::is_read_only`], [`RepositoryError::is_unavailable`], or internal when the schema is missing.
    ///
    /// # Cancel safety
    /// All sample comments are entered or none.
    pub async fn seed(&self) -> Result<(), RepositoryError> {
        let doing = "enter the sample comments";
        let failed = self.database.failed(doing);
        let mut exclusive = self.database.exclusive(doing).await?;
        let insert = self.database.dialect(ADD_MYSQL, ADD);
        on_exclusive!(&mut exclusive, connection => {
            let any: Option<i64> = sqlx::query_scalar(ANY_COMMENT)
                .fetch_optional(&mut **connection)
                .await
                .map_err(failed)?;
            if any.is_none() {
                let mut transaction = connection.begin().await.map_err(failed)?;
                for (content, created_at) in seeds::COMMENTS {
                    sqlx::query(insert)
                        .bind(seeds::BOOK_ID)
                        .bind(*content)
                        .bind(*created_at)
                        .execute(&mut *transaction)
                        .await
                        .map_err(failed)?;
                }
                transaction.commit().await.map_err(failed)?;
            }
        });
        exclusive.finish().await.map_err(failed)
    }

    /// Inserts one row and returns its id.
    ///
    /// A server gives out an id before the row can be seen, so of two writers the one with the smaller id may become
    /// visible last, and a watcher that has seen the greater id would never look back. Holding the slot of the book
    /// from before the insert until the commit makes the two orders one. SQLite has one writer at a time anyway.
    async fn insert(&self, book_id: i64, content: &str, at: &str) -> Result<i64, sqlx::Error> {
        let slot = book_id.rem_euclid(SLOTS);
        let database = &self.database;
        match database.pool() {
            Pool::Sqlite(pool) => {
                let insert = sqlx::query(ADD).bind(book_id).bind(content).bind(at);
                Ok(database.traced(ADD, insert.execute(pool)).await?.last_insert_rowid())
            }
            Pool::MySql(pool) => {
                let mut transaction = pool.begin().await?;
                let lock = sqlx::query(LOCK_SLOT_MYSQL).bind(slot);
                database.traced(LOCK_SLOT_MYSQL, lock.fetch_one(&mut *transaction)).await?;
                let insert = sqlx::query(ADD_MYSQL).bind(book_id).bind(content).bind(at);
                let inserted = database.traced(ADD_MYSQL, insert.execute(&mut *transaction)).await?;
                let id = inserted.last_insert_id();
                transaction.commit().await?;
                i64::try_from(id).map_err(|error| sqlx::Error::Decode(error.into()))
            }
            Pool::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let lock = sqlx::query(LOCK_SLOT_POSTGRES).bind(slot);
                database.traced(LOCK_SLOT_POSTGRES, lock.fetch_one(&mut *transaction)).await?;
                let insert = sqlx::query_scalar(ADD_POSTGRES).bind(book_id).bind(content).bind(at);
                let id = database.traced(ADD_POSTGRES, insert.fetch_one(&mut *transaction)).await?;
                transaction.commit().await?;
                Ok(id)
            }
        }
    }
}

impl Comments for SqlComments {
    async fn list(&self, book_id: i64, limit: u32) -> Result<Vec<Comment>, RepositoryError> {
        let list = self.database.dialect(LIST_MYSQL, LIST);
        let rows = on_pool!(self.database, pool => {
            let query = sqlx::query_as::<_, Row>(list).bind(book_id).bind(i64::from(limit));
            self.database.traced(list, query.fetch_all(pool)).await
        });
        let rows = rows.map_err(self.database.failed("list the comments"))?;
        Ok(rows.into_iter().rev().map(comment).collect())
    }

    async fn after(&self, book_id: i64, after_id: i64, limit: u32) -> Result<Vec<Comment>, RepositoryError> {
        let after = self.database.dialect(AFTER_MYSQL, AFTER);
        let rows = on_pool!(self.database, pool => {
            let query = sqlx::query_as::<_, Row>(after).bind(book_id).bind(after_id).bind(i64::from(limit));
            self.database.traced(after, query.fetch_all(pool)).await
        });
        let rows = rows.map_err(self.database.failed("look for new comments"))?;
        Ok(rows.into_iter().map(comment).collect())
    }

    async fn last_id(&self, book_id: i64) -> Result<i64, RepositoryError> {
        let last = self.database.dialect(LAST_ID_MYSQL, LAST_ID);
        let id: Result<Option<i64>, _> = on_pool!(self.database, pool => {
            self.database.traced(last, sqlx::query_scalar(last).bind(book_id).fetch_optional(pool)).await
        });
        let id = id.map_err(self.database.failed("find the newest comment"))?;
        Ok(id.unwrap_or_default())
    }

    async fn add(&self, book_id: i64, content: &str) -> Result<Comment, RepositoryError> {
        if content.len() > MAX_CONTENT_BYTES {
            let rule = format_args!("has {} bytes, the most is {MAX_CONTENT_BYTES}", content.len());
            return Err(RepositoryError::rejected("content", rule));
        }
        if content.contains('\0') {
            return Err(RepositoryError::rejected("content", "must not contain a NUL character"));
        }
        let created_at = rfc3339(SystemTime::now());
        let id = self.insert(book_id, content, &created_at).await;
        let id = id.map_err(self.database.failed("add a comment"))?;
        Ok(Comment { id, book_id, content: content.to_owned(), created_at })
    }
}

fn comment((id, book_id, content, created_at): Row) -> Comment {
    Comment { id, book_id, content, created_at }
}
