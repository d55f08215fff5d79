//! What makes a database the one of a service.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The names and the tables that a service has in its database; mostly a `static`.
///
/// Several services may share one MySQL or PostgreSQL database, so every name here, and the name of every table, carries
/// the name of the service that owns it. See the [module](super) for an example.
#[derive(Debug)]
pub struct Schema {
    /// The service, as the database server shows it among its sessions, and as MySQL names the lock of its schema: at most
    /// 23 characters, because a lock's name has room for no more.
    pub application: &'static str,
    /// The table where the migrator notes what it has done.
    pub migrations_table: &'static str,
    /// The number by which PostgreSQL names the lock of the schema: see [`lock_key`].
    pub lock_key: i64,
    /// Every step so far. A released step is never edited (its checksum is stored); a change is a new step.
    pub steps: &'static [Step],
}

/// One step of a schema, said once for each kind of server.
#[derive(Debug)]
pub struct Step {
    /// Steps are made in the order of their versions.
    pub version: i64,
    /// What the step brings, for the bookkeeping table.
    pub description: &'static str,
    /// The statements for SQLite.
    pub sqlite: &'static str,
    /// The statements for MySQL and MariaDB.
    pub mysql: &'static str,
    /// The statements for PostgreSQL.
    pub postgres: &'static str,
}

impl Schema {
    pub(super) fn migrator(&self, script: fn(&Step) -> &'static str) -> Migrator {
        let migrations = self.steps.iter().map(|step| {
            let sql = script(step).into_sql_str();
            Migration::new(step.version, step.description.into(), MigrationType::Simple, sql, false)
        });
        let mut migrator = Migrator::with_migrations(migrations.collect());
        migrator.dangerous_set_table_name(self.migrations_table);
        migrator.set_locking(false);
        migrator
    }
}

/// A number for a name, to be [`Schema::lock_key`]: different names practically never share one (FNV-1a, 64 bits).
///
/// ```
/// use kit::sql::lock_key;
///
/// assert_ne!(lock_key("bookdetails"), lock_key("bookcomments"));
/// ```
pub const fn lock_key(name: &str) -> i64 {
    let bytes = name.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash.cast_signed()
}
