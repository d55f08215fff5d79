//! What a SQLite file needs that a server does not: to be made, and to be put into WAL mode.

use std::time::Duration;

use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

use super::{
    DatabaseConfig, SqlError,
    address::redact,
    classify::is_busy,
    database::{CONNECT, log_farewell},
};

/// How long a writer waits for another one. The library's default, written down because SQLite itself would not wait at
/// all.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two attempts at the WAL switch, which takes another process about a millisecond.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// A SQLite database as its URL describes it.
pub(super) struct Sqlite {
    options: SqliteConnectOptions,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Memory,
    ReadOnly,
    Existing,
    Create,
}

impl Sqlite {
    pub(super) fn new(url: &str, options: SqliteConnectOptions) -> Result<Self, String> {
        let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let has = |parameter| query.split('&').any(|one| one == parameter);
        let mode = if url.contains(":memory:") || has("mode=memory") {
            Mode::Memory
        } else if has("mode=ro") || has("immutable=1") || has("immutable=true") {
            Mode::ReadOnly
        } else if has("mode=rw") {
            Mode::Existing
        } else {
            Mode::Create
        };
        if mode != Mode::Memory && options.get_filename().as_os_str().is_empty() {
            return Err("names no file; write sqlite://path/to/file.db, or sqlite::memory: to keep nothing".to_owned());
        }
        // `Full` makes a confirmed row survive a power cut too, which `Normal` does not under WAL.
        let options = options
            .busy_timeout(BUSY_TIMEOUT)
            .create_if_missing(mode == Mode::Create)
            .synchronous(SqliteSynchronous::Full);
        Ok(Self { options, mode })
    }

    pub(super) async fn open(self, config: &DatabaseConfig) -> Result<SqlitePool, SqlError> {
        let target = redact(&config.url);
        let failed = |error| SqlError::sql(CONNECT, &target, &error);
        if self.mode == Mode::Create
            && let Some(folder) = self.options.get_filename().parent()
        {
            std::fs::create_dir_all(folder).map_err(|error| SqlError::no_folder(folder, &target, &error))?;
        }
        let pool = SqlitePoolOptions::new().acquire_timeout(config.acquire_timeout);
        let pool = match self.mode {
            // The database lives as long as its connection: one, never replaced. And never tested, because the pool closes a
            // connection whose test is cancelled together with the call that wanted it.
            Mode::Memory => pool.max_connections(1).idle_timeout(None).max_lifetime(None).test_before_acquire(false),
            _ => pool.max_connections(config.max_connections),
        };
        let first = match self.mode {
            Mode::Memory | Mode::ReadOnly => None,
            Mode::Existing | Mode::Create => Some(self.switch_to_wal().await.map_err(failed)?),
        };
        let pool = pool.connect_with(self.options).await.map_err(failed)?;
        if let Some(first) = first {
            log_farewell(sqlx::Connection::close(first).await);
        }
        Ok(pool)
    }

    /// Lets readers go on while one writes. The file remembers it, so one connection does it for all.
    ///
    /// Of two processes that switch a new file together one is told "busy" at once: this is the one statement for which
    /// SQLite does not heed the busy timeout.
    async fn switch_to_wal(&self) -> Result<SqliteConnection, sqlx::Error> {
        let options = self.options.clone().journal_mode(SqliteJournalMode::Wal);
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match options.connect().await {
                Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(BUSY_PAUSE).await,
                result => return result,
            }
        }
    }
}
