//! [`Books`] in SQL.

use kit::sql::{Database, DatabaseConfig, on_exclusive, on_pool, unless_read_only};
use sqlx::Connection;

use super::{Books, RepositoryError, schema::SCHEMA, seeds};
use crate::models::Book;

type Row = (i64, String, String, String, String);

const FIND_MYSQL: &str = "SELECT id, name, author, published, intro FROM details_books WHERE id = ?";
const FIND: &str = "SELECT id, name, author, published, intro FROM details_books WHERE id = $1";

// Not `INSERT IGNORE`, which would also swallow a text that is too long.
const SEED_MYSQL: &str = "
    INSERT INTO details_books (id, name, author, published, intro) VALUES (?, ?, ?, ?, ?)
    ON DUPLICATE KEY UPDATE id = id";
const SEED: &str = "
    INSERT INTO details_books (id, name, author, published, intro) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO NOTHING";

/// The ids of [`seeds::BOOKS`].
const EXISTING: &str = "SELECT id FROM details_books WHERE id IN (1, 2, 3)";

/// The books in a SQLite file, or on a MySQL, MariaDB or PostgreSQL server.
///
/// Clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct SqlBooks {
    database: Database,
}

impl SqlBooks {
    /// Opens the database, then migrates and seeds it where `config` says so. One that takes no writes is left as it is.
    ///
    /// # Errors
    /// As [`Database::connect`] and [`SqlBooks::seed`].
    ///
    /// # Cancel safety
    /// As [`Database::migrate`].
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, RepositoryError> {
        let books = Self { database: Database::connect(config, &SCHEMA).await? };
        if config.seed {
            unless_read_only(books.seed().await)?;
        }
        Ok(books)
    }

    /// The database: to migrate, check or close it.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Enters the sample books that are missing, by id; never changes a row that is there. Safe to repeat, also from
    /// several processes at once.
    ///
    /// # Errors
    /// [`RepositoryError::is_read_only`] when one is missing and can't be entered, [`RepositoryError::is_unavailable`],
    /// or internal when the schema is missing.
    ///
    /// # Cancel safety
    /// All sample books are entered or none.
    pub async fn seed(&self) -> Result<(), RepositoryError> {
        let doing = "enter the sample books";
        let failed = self.database.failed(doing);
        let insert = self.database.dialect(SEED_MYSQL, SEED);
        let mut exclusive = self.database.exclusive(doing).await?;
        on_exclusive!(&mut exclusive, connection => {
            let existing: Vec<i64> = sqlx::query_scalar(EXISTING).fetch_all(&mut **connection).await.map_err(failed)?;
            let mut transaction = connection.begin().await.map_err(failed)?;
            for book in seeds::BOOKS.iter().filter(|book| !existing.contains(&book.id)) {
                sqlx::query(insert)
                    .bind(book.id)
                    .bind(book.name)
                    .bind(book.author)
                    .bind(book.published)
                    .bind(book.intro)
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
        });
        exclusive.finish().await.map_err(failed)
    }
}

impl Books for SqlBooks {
    async fn find(&self, id: i64) -> Result<Option<Book>, RepositoryError> {
        let find = self.database.dialect(FIND_MYSQL, FIND);
        let row = on_pool!(self.database, pool => {
            self.database.traced(find, sqlx::query_as::<_, Row>(find).bind(id).fetch_optional(pool)).await
        });
        let row = row.map_err(self.database.failed("find a book"))?;
        Ok(row.map(|(id, name, author, published, intro)| Book { id, name, author, published, intro }))
    }
}
