//! The pool of connections, whatever the server behind it.
//!
//! One pool type per server instead of `sqlx::Any`: `Any` needs a process-wide registry of drivers, hides the settings
//! that differ (WAL, file creation, session name), and still leaves the placeholders to us.

use std::{sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, MySqlPool, PgPool, SqlitePool, mysql::MySqlPoolOptions, postgres::PgPoolOptions,
};
use tokio::time::timeout;

use super::{
    DatabaseConfig, Schema, SqlError,
    address::{Options, redact},
};
use crate::validate::{Validate as _, Violations};

pub(super) const CONNECT: &str = "connect";
const MIGRATE: &str = "migrate the schema";

/// Runs the same expression on whichever pool a [`Database`](crate::sql::Database) has: the text is one, the types are
/// the server's.
///
/// ```
/// use kit::sql::{Database, SqlError, on_pool};
///
/// async fn now(database: &Database) -> Result<String, SqlError> {
///     let now = on_pool!(database, pool => {
///         sqlx::query_scalar("SELECT CAST(CURRENT_TIMESTAMP AS CHAR(19))").fetch_one(pool).await
///     });
///     now.map_err(database.failed("ask for the time"))
/// }
/// # let _ = now;
/// ```
#[macro_export]
macro_rules! on_pool {
    ($database:expr, $pool:ident => $run:expr) => {
        match $database.pool() {
            $crate::sql::Pool::Sqlite($pool) => $run,
            $crate::sql::Pool::MySql($pool) => $run,
            $crate::sql::Pool::Postgres($pool) => $run,
        }
    };
}

/// The connections of a [`Database`], of the server's own type.
///
/// All there are: [`on_pool!`](crate::on_pool) has an arm for each. Another server would be a new major version.
#[derive(Debug, Clone)]
pub enum Pool {
    /// A SQLite file, or a database in memory.
    Sqlite(SqlitePool),
    /// MySQL or MariaDB.
    MySql(MySqlPool),
    /// PostgreSQL.
    Postgres(PgPool),
}

/// A database that answered once. Clones share the pool.
///
/// See the [module](super) for an example.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    pub(super) target: Arc<str>,
    patience: Duration,
    schema: &'static Schema,
}

impl Database {
    /// Opens the pool, proves with one connection that the database is there, and migrates it where `config` says so.
    ///
    /// A pool hides a refused connection behind its own timeout, so the proof is made beside it: the first error a person
    /// sees then names the true cause, and at once. A database that takes no writes is not migrated; that is logged, and
    /// reads go on.
    ///
    /// # Errors
    /// [`SqlError::is_unavailable`] when no connection comes about within `config.acquire_timeout` (a refused one fails at
    /// once); a server that is still starting is worth another call. Internal when the settings are wrong or the server
    /// refuses the user; otherwise as [`Database::migrate`].
    ///
    /// # Cancel safety
    /// As [`Database::migrate`].
    pub async fn connect(config: &DatabaseConfig, schema: &'static Schema) -> Result<Self, SqlError> {
        let database = Self::open(config, schema).await?;
        if config.migrate {
            unless_read_only(database.migrate().await)?;
        } else if let Some(lacking) = database.lacking().await {
            tracing::warn!(
                database = %database.target,
                "{lacking}: set `database.migrate: true` (MIGRATE=true) for one start, or calls will fail"
            );
        }
        Ok(database)
    }

    /// What is wrong with the schema: that it is missing, or older than the program. A newer one may do, and one that can't be
    /// asked for is not missing.
    pub(super) async fn lacking(&self) -> Option<String> {
        let newest = self.schema.steps.iter().map(|step| step.version).max()?;
        let table = self.schema.migrations_table;
        let sql = format!("SELECT MAX(version) FROM {table} WHERE success = TRUE");
        let found: Result<Option<i64>, sqlx::Error> = on_pool!(self, pool => {
            // The table's name is a literal of the program.
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await
        });
        match found.map_err(self.failed("look for the schema")) {
            Ok(Some(version)) if version >= newest => None,
            Ok(Some(version)) => Some(format!("the schema is old: version {version}, this program needs {newest}")),
            Err(error) if error.is_unavailable() => None,
            Ok(None) | Err(_) => Some(format!("the schema is missing: there is nothing in the table {table}")),
        }
    }

    async fn open(config: &DatabaseConfig, schema: &'static Schema) -> Result<Self, SqlError> {
        let mut report = Violations::default();
        config.validate(&mut report);
        if let Some((key, message)) = report.iter().next() {
            return Err(SqlError::misconfigured(format_args!("`{key}` {message}")));
        }
        let target = redact(&config.url);
        let patience = config.acquire_timeout;
        let pool = match Options::parse(&config.url).map_err(SqlError::misconfigured)? {
            Options::Sqlite(sqlite) => Pool::Sqlite(sqlite.open(config).await?),
            Options::MySql(options) => {
                probe(&options, patience, &target).await?;
                let pool = MySqlPoolOptions::new().max_connections(config.max_connections).acquire_timeout(patience);
                Pool::MySql(pool.connect_lazy_with(options))
            }
            Options::Postgres(options) => {
                let options = match options.get_application_name() {
                    Some(_) => options,
                    None => options.application_name(schema.application),
                };
                probe(&options, patience, &target).await?;
                let pool = PgPoolOptions::new().max_connections(config.max_connections).acquire_timeout(patience);
                Pool::Postgres(pool.connect_lazy_with(options))
            }
        };
        tracing::info!(database = %target, "database connected");
        Ok(Self { pool, target: target.into(), patience, schema })
    }

    /// The connections, for [`on_pool!`](crate::sql::on_pool) or for what only one server can do.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// The statement in the dialect of the server: MySQL has other placeholders (`?`) than the other two (`$1`).
    pub fn dialect(&self, mysql: &'static str, others: &'static str) -> &'static str {
        match self.pool {
            Pool::MySql(_) => mysql,
            Pool::Sqlite(_) | Pool::Postgres(_) => others,
        }
    }

    /// Turns the library's error into ours; `doing` completes the sentence "cannot ...".
    pub fn failed(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> SqlError + Copy + '_ {
        move |error| SqlError::sql(doing, &self.target, &error)
    }

    pub(super) fn timed_out(&self, doing: &'static str, waited: Duration) -> SqlError {
        SqlError::timed_out(doing, &self.target, waited)
    }

    /// Whether the database answers, for the readiness probe.
    ///
    /// # Errors
    /// [`SqlError::is_unavailable`] when it does not within `acquire_timeout`, the wait for a connection included.
    ///
    /// # Cancel safety
    /// Reads only.
    pub async fn check(&self) -> Result<(), SqlError> {
        let doing = "check the database";
        let asked = timeout(self.patience, async {
            on_pool!(self, pool => sqlx::query("SELECT 1").execute(pool).await.map(|_| ()))
        });
        match asked.await {
            Ok(answer) => answer.map_err(self.failed(doing)),
            Err(_) => Err(self.timed_out(doing, self.patience)),
        }
    }

    /// Closes the pool, of all clones: calls that wait for a connection fail as unavailable, running ones finish first.
    ///
    /// # Cancel safety
    /// Dropping the future stops the wait; the pool stays closed.
    pub async fn close(&self) {
        on_pool!(self, pool => pool.close().await);
    }

    /// Brings the schema up to date. Processes that start together do it one after the other, waiting up to a minute
    /// (SQLite: 5 s).
    ///
    /// # Errors
    /// [`SqlError::is_read_only`], [`SqlError::is_unavailable`] (also when another process does not get done), or internal
    /// when the schema is of another version.
    ///
    /// # Cancel safety
    /// SQLite and PostgreSQL undo all of it. MySQL cannot undo a schema change: the next run then reports the step that
    /// was interrupted.
    pub async fn migrate(&self) -> Result<(), SqlError> {
        let migrator = self.schema.migrator(match self.pool {
            Pool::Sqlite(_) => |step| step.sqlite,
            Pool::MySql(_) => |step| step.mysql,
            Pool::Postgres(_) => |step| step.postgres,
        });
        let mut exclusive = self.exclusive(MIGRATE).await?;
        // `run_direct` and not `run`: the future of the latter is not `Send` inside another `async fn`.
        crate::on_exclusive!(&mut exclusive, connection => {
            migrator.run_direct(None, &mut **connection, false).await
        })
        .map_err(|error| SqlError::migration(self.schema.migrations_table, &self.target, &error))?;
        exclusive.finish().await.map_err(self.failed(MIGRATE))?;
        tracing::info!(database = %self.target, "schema is up to date");
        Ok(())
    }
}

/// Lets a start go on where the database takes no writes: what could not be written is logged.
///
/// # Errors
/// Any other error.
pub fn unless_read_only(result: Result<(), SqlError>) -> Result<(), SqlError> {
    match result {
        Err(error) if error.is_read_only() => {
            tracing::warn!(%error, "the database takes no writes, the start goes on");
            Ok(())
        }
        result => result,
    }
}

/// One connection beside the pool, closed again.
async fn probe<O>(options: &O, patience: Duration, target: &str) -> Result<(), SqlError>
where
    O: ConnectOptions<Connection: Sized>,
{
    match timeout(patience, options.connect()).await {
        Ok(Ok(connection)) => {
            log_farewell(connection.close().await);
            Ok(())
        }
        Ok(Err(error)) => Err(SqlError::sql(CONNECT, target, &error)),
        Err(_) => Err(SqlError::timed_out(CONNECT, target, patience)),
    }
}

/// By the time a connection says goodbye its work is done: that this failed is no failure of the work.
pub(super) fn log_farewell(closed: Result<(), sqlx::Error>) {
    if let Err(error) = closed {
        tracing::debug!(%error, "connection did not close cleanly");
    }
}
