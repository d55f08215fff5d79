//! Repositories on SQLite, MySQL, MariaDB and PostgreSQL: one pool behind one type, the schema that a service owns, and
//! errors that say what a service has to answer.
//!
//! The statements stay yours, in sqlx. What is here is what every repository would write again: connecting so that the
//! first error names the true cause, migrating when several processes start together, telling "away" from "takes no
//! writes" from "broken", and a database of its own for every test ([`testing`]).
//!
//! ```
//! use kit::sql::{Database, DatabaseConfig, Schema, SqlError, Step, lock_key, on_pool};
//!
//! static SCHEMA: Schema = Schema {
//!     application: "greetings",
//!     migrations_table: "greetings_migrations",
//!     lock_key: lock_key("greetings"),
//!     steps: &[Step {
//!         version: 1,
//!         description: "words",
//!         sqlite: "CREATE TABLE greetings_words (word TEXT NOT NULL)",
//!         mysql: "CREATE TABLE greetings_words (word VARCHAR(99) NOT NULL)",
//!         postgres: "CREATE TABLE greetings_words (word TEXT NOT NULL)",
//!     }],
//! };
//!
//! /// How many words there are.
//! async fn count(database: &Database) -> Result<i64, SqlError> {
//!     let count = on_pool!(database, pool => {
//!         sqlx::query_scalar("SELECT COUNT(*) FROM greetings_words").fetch_one(pool).await
//!     });
//!     count.map_err(database.failed("count the words"))
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let config = DatabaseConfig { migrate: true, ..DatabaseConfig::new("sqlite::memory:") };
//! let database = Database::connect(&config, &SCHEMA).await?;
//! assert_eq!(count(&database).await?, 0);
//! # Ok::<(), SqlError>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod classify;
mod config;
mod database;
mod error;
mod exclusive;
mod late;
#[cfg(feature = "metrics")]
mod metrics;
mod schema;
mod sqlite;
#[cfg(feature = "trace")]
mod statement;
pub mod testing;
#[cfg(test)]
mod tests;
mod traced;

pub use config::DatabaseConfig;
pub use database::{Database, Pool, unless_read_only};
pub use error::SqlError;
pub use exclusive::Exclusive;
pub use late::Late;
pub use schema::{Schema, Step, lock_key};

#[doc(inline)]
pub use crate::{on_exclusive, on_pool};
