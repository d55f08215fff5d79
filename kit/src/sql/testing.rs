//! A database of its own for every test, on each kind of server.
//!
//! SQLite is always there. MariaDB (or MySQL) and PostgreSQL are used where they answer; with
//! `KIT_TEST_SERVICES=required` their absence is a failure instead of a skipped test. `KIT_TEST_MYSQL_URL` and
//! `KIT_TEST_POSTGRES_URL` name other servers than `mysql://root@127.0.0.1:3306/test` and
//! `postgres://postgres@127.0.0.1:5432/test`; the user must be allowed to create databases and schemas.
//!
//! For tests only: what goes wrong here panics.
//!
//! ```
//! # mod demo {
//! use kit::sql::testing::on_each_backend;
//!
//! // Three tests: sqlite::starts_empty, mysql::starts_empty and postgres::starts_empty.
//! on_each_backend!(starts_empty);
//!
//! async fn starts_empty(url: String) {
//!     // connect to `url`, then ...
//!     assert!(!url.is_empty());
//! }
//! # }
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "a failed step fails the test, and a skipped one is told"
)]

use std::{
    env,
    future::Future,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor,
    mysql::{MySqlConnectOptions, MySqlConnection},
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::time::{error::Elapsed, timeout};

#[doc(inline)]
pub use crate::on_each_backend;

/// A server on this machine answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// MySQL or MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

/// Makes one test per backend out of each `async fn(url: String)`, in modules `sqlite`, `mysql` and `postgres`. The crate
/// needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        $crate::on_each_backend!(@module sqlite Sqlite $($test)+);
        $crate::on_each_backend!(@module mysql MySql $($test)+);
        $crate::on_each_backend!(@module postgres Postgres $($test)+);
    };
    (@module $module:ident $backend:ident $($test:ident)+) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::sql::testing::run($crate::sql::testing::Backend::$backend, super::$test).await;
            })+
        }
    };
}

/// Runs `test` with the URL of an empty database and removes the database, also when the test panics. Skips the test, and
/// says so, when there is no such server.
pub async fn run<F>(backend: Backend, test: impl FnOnce(String) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let name = unique_name();
    let result = match backend {
        Backend::Sqlite => {
            let folder = Folder::new();
            tokio::spawn(test(folder.url("deep/er/test.db"))).await
        }
        Backend::MySql => {
            let server = url("KIT_TEST_MYSQL_URL", "mysql://root@127.0.0.1:3306/test");
            let Some(mut admin) = mysql(&server).await else { return };
            // A character set that can't hold the texts, as old servers have: a schema must name its own.
            execute(&mut admin, format!("CREATE DATABASE {name} CHARACTER SET latin1")).await;
            let (base, _) = server.rsplit_once('/').expect("the URL names a database");
            let result = tokio::spawn(test(format!("{base}/{name}"))).await;
            execute(&mut admin, format!("DROP DATABASE {name}")).await;
            result
        }
        Backend::Postgres => {
            let server = url("KIT_TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/test");
            let Some(mut admin) = postgres(&server).await else { return };
            execute(&mut admin, format!("CREATE SCHEMA {name}")).await;
            let result = tokio::spawn(test(format!("{server}?options[search_path]={name}"))).await;
            execute(&mut admin, format!("DROP SCHEMA {name} CASCADE")).await;
            result
        }
    };
    if let Err(failed) = result {
        std::panic::resume_unwind(failed.into_panic());
    }
}

/// A folder for the files of one test, below the temporary folder of the system. It goes away with the value.
///
/// ```
/// use kit::sql::testing::Folder;
///
/// let folder = Folder::new();
/// assert!(folder.url("books.db").starts_with("sqlite://"));
/// ```
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder with a name of its own. It is not made: what writes into it does that.
    #[allow(clippy::new_without_default, reason = "two are never the same")]
    pub fn new() -> Self {
        Self(env::temp_dir().join(unique_name()))
    }

    /// The path of a file in it.
    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// The URL of a SQLite file in it; `file` may end in parameters.
    pub fn url(&self, file: &str) -> String {
        format!("sqlite://{}", self.path(file).display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Different in every test of every run, so that runs may overlap and leftovers of a killed one are in nobody's way.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("kit_test_{}_{}_{count}", std::process::id(), since.as_micros())
}

fn url(variable: &str, default: &str) -> String {
    env::var(variable).unwrap_or_else(|_| default.to_owned())
}

async fn mysql(url: &str) -> Option<MySqlConnection> {
    let options: MySqlConnectOptions = url.parse().expect("KIT_TEST_MYSQL_URL is a URL");
    present("MySQL", timeout(PATIENCE, options.connect()).await)
}

async fn postgres(url: &str) -> Option<PgConnection> {
    let options: PgConnectOptions = url.parse().expect("KIT_TEST_POSTGRES_URL is a URL");
    present("PostgreSQL", timeout(PATIENCE, options.connect()).await)
}

fn present<C>(server: &str, connected: Result<Result<C, sqlx::Error>, Elapsed>) -> Option<C> {
    let absent = match connected {
        Ok(Ok(connection)) => return Some(connection),
        Ok(Err(error)) => error.to_string(),
        Err(elapsed) => elapsed.to_string(),
    };
    let required = env::var("KIT_TEST_SERVICES").is_ok_and(|value| value == "required");
    assert!(!required, "{server} is required and not there: {absent}");
    eprintln!("skipped: {server} is not there: {absent}");
    None
}

async fn execute<C>(connection: &mut C, sql: String)
where
    C: Connection,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    connection.execute(AssertSqlSafe(sql)).await.expect("the server takes a statement");
}
