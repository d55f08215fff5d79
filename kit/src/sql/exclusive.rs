//! One process at a time for what several must not do together.

use std::time::Duration;

use sqlx::{MySql, PgTransaction, SqliteTransaction, pool::PoolConnection};

use super::{Database, Pool, SqlError, database::log_farewell};

/// How long one process waits while another migrates or seeds: a minute covers any schema of this size, and a start that
/// hangs longer should be seen.
const WAIT_SECONDS: u32 = 60;
const WAIT_POSTGRES: &str = "SET LOCAL lock_timeout = '60s'";

/// Runs the same expression on the connection inside an [`Exclusive`](crate::sql::Exclusive).
///
/// ```
/// use kit::sql::{Database, SqlError, on_exclusive};
///
/// async fn empty(database: &Database) -> Result<(), SqlError> {
///     let doing = "empty the table";
///     let mut exclusive = database.exclusive(doing).await?;
///     on_exclusive!(&mut exclusive, connection => {
///         sqlx::query("DELETE FROM greetings_words").execute(&mut **connection).await.map(|_| ())
///     })
///     .map_err(database.failed(doing))?;
///     exclusive.finish().await.map_err(database.failed(doing))
/// }
/// # let _ = empty;
/// ```
#[macro_export]
macro_rules! on_exclusive {
    ($exclusive:expr, $connection:ident => $run:expr) => {
        match $exclusive {
            $crate::sql::Exclusive::Sqlite($connection) => $run,
            $crate::sql::Exclusive::MySql($connection) => $run,
            $crate::sql::Exclusive::Postgres($connection) => $run,
        }
    };
}

/// A connection that alone may change the schema or enter sample rows: see [`Database::exclusive`]. Dropped before
/// [`Exclusive::finish`], it gives the lock back and, except for what MySQL commits by itself, undoes its work.
///
/// All there are: [`on_exclusive!`](crate::on_exclusive) has an arm for each. Another server would be a new major version.
#[derive(Debug)]
pub enum Exclusive {
    /// A transaction that holds the write lock of the file.
    Sqlite(SqliteTransaction<'static>),
    /// A connection that holds a named lock, and is closed with it.
    MySql(PoolConnection<MySql>),
    /// A transaction that holds an advisory lock.
    Postgres(PgTransaction<'static>),
}

impl Exclusive {
    /// Commits, and gives the lock back.
    ///
    /// # Errors
    /// What the commit failed with.
    pub async fn finish(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            // The lock ends with the session: a pooled connection would carry it on.
            Self::MySql(connection) => {
                log_farewell(connection.close().await);
                Ok(())
            }
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }
}

impl Database {
    /// Waits until no other process migrates or seeds the tables of this service.
    ///
    /// The migrator of the library has locks of its own that are not used: on SQLite there is none, MariaDB answers its
    /// `GET_LOCK(.., -1)` with NULL and locks nothing, and on PostgreSQL an error leaves the lock on a connection that
    /// goes back to the pool.
    ///
    /// # Errors
    /// [`SqlError::is_unavailable`] when the wait takes longer than a minute (SQLite: 5 s), or the database is away.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the wait.
    pub async fn exclusive(&self, doing: &'static str) -> Result<Exclusive, SqlError> {
        let failed = self.failed(doing);
        Ok(match self.pool() {
            Pool::Sqlite(pool) => Exclusive::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?),
            Pool::MySql(pool) => {
                let mut connection = pool.acquire().await.map_err(failed)?;
                connection.close_on_drop();
                // Lock names are server-wide and at most 64 long, names of databases as long.
                let got: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(CONCAT(?, '.', SHA1(DATABASE())), ?)")
                    .bind(self.schema().application)
                    .bind(WAIT_SECONDS)
                    .fetch_one(&mut *connection)
                    .await
                    .map_err(failed)?;
                if got != Some(1) {
                    return Err(self.timed_out(doing, Duration::from_secs(WAIT_SECONDS.into())));
                }
                Exclusive::MySql(connection)
            }
            Pool::Postgres(pool) => {
                let mut transaction = pool.begin().await.map_err(failed)?;
                sqlx::query(WAIT_POSTGRES).execute(&mut *transaction).await.map_err(failed)?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(self.schema().lock_key)
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed)?;
                Exclusive::Postgres(transaction)
            }
        })
    }
}
