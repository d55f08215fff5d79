//! What a database says when it can't be had.

use std::time::Duration;

use tokio::net::TcpListener;

use super::{
    Database, DatabaseConfig, Schema, SqlError, Step, lock_key, on_pool,
    testing::{Folder, on_each_backend},
};

static SCHEMA: Schema = Schema {
    application: "kit",
    migrations_table: "kit_migrations",
    lock_key: lock_key("kit"),
    steps: &[Step {
        version: 1,
        description: "words",
        sqlite: "CREATE TABLE kit_words (word TEXT)",
        mysql: "CREATE TABLE kit_words (word TEXT)",
        postgres: "CREATE TABLE kit_words (word TEXT)",
    }],
};

async fn connect(url: String) -> Result<Database, SqlError> {
    let config = DatabaseConfig { acquire_timeout: Duration::from_secs(1), migrate: true, ..DatabaseConfig::new(url) };
    Database::connect(&config, &SCHEMA).await
}

async fn refused(url: String) -> SqlError {
    // The time is no assertion: it makes a test fail that would hang.
    tokio::time::timeout(Duration::from_secs(60), connect(url)).await.expect("it gives up").unwrap_err()
}

/// A port that nobody listens on: bound once to be free, then let go.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_at_once() {
    for scheme in ["mysql", "postgres"] {
        let port = free_port().await;
        let error = refused(format!("{scheme}://root:secret@127.0.0.1:{port}/books")).await;
        assert!(error.is_unavailable() && !error.is_read_only());
        let text = format!("{error} {error:?}");
        assert!(text.contains(&format!("{scheme}://root@127.0.0.1:{port}/books")), "{text}");
        // The true cause, not the pool's timeout.
        assert!(text.contains("refused") && text.contains("database.url"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

/// The pool tested the connection before it lent it, and closed it when the caller went away during the test.
#[tokio::test]
async fn a_cancelled_call_does_not_take_an_in_memory_database_with_it() {
    let database = connect("sqlite::memory:".to_owned()).await.unwrap();
    let count = || async {
        on_pool!(database, pool => sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM kit_words").fetch_one(pool).await)
    };
    for polls in 1..20 {
        let mut call = Box::pin(count());
        for _ in 0..polls {
            if futures_util::poll!(&mut call).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        assert_eq!(count().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    for scheme in ["mysql", "postgres"] {
        let error = refused(format!("{scheme}://root:secret@127.0.0.1:{port}/books")).await;
        assert!(error.is_unavailable(), "{error}");
        assert!(error.to_string().contains("1s") && !error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_sqlite_file_that_must_exist_and_does_not_is_unavailable() {
    let folder = Folder::new();
    for mode in ["ro", "rw"] {
        let error = refused(folder.url(&format!("none.db?mode={mode}"))).await;
        assert!(error.is_unavailable() && error.to_string().contains("none.db"), "{error}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    connect(folder.url("file.db")).await.unwrap().close().await;
    let error = refused(folder.url("file.db/below.db")).await;
    assert!(error.is_unavailable() && error.to_string().contains("file.db"), "{error}");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_opened_and_not_migrated() {
    let folder = Folder::new();
    let file = folder.path("empty.db");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "").unwrap();
    let database = connect(folder.url("empty.db?mode=ro")).await.unwrap();
    database.check().await.unwrap();
    assert!(database.migrate().await.unwrap_err().is_read_only());
}

on_each_backend!(a_schema_that_is_missing_or_old_is_noticed);

async fn a_schema_that_is_missing_or_old_is_noticed(url: String) {
    static NEWER: Schema = Schema {
        application: "kit",
        migrations_table: "kit_migrations",
        lock_key: lock_key("kit"),
        steps: &[
            Step {
                version: 1,
                description: "words",
                sqlite: "CREATE TABLE kit_words (word TEXT)",
                mysql: "CREATE TABLE kit_words (word TEXT)",
                postgres: "CREATE TABLE kit_words (word TEXT)",
            },
            Step {
                version: 2,
                description: "more words",
                sqlite: "CREATE TABLE kit_more (word TEXT)",
                mysql: "CREATE TABLE kit_more (word TEXT)",
                postgres: "CREATE TABLE kit_more (word TEXT)",
            },
        ],
    };
    let bare = DatabaseConfig::new(url.clone());
    let database = Database::connect(&bare, &SCHEMA).await.expect("the start goes on");
    assert!(database.lacking().await.unwrap().contains("missing"));
    database.migrate().await.unwrap();
    assert_eq!(database.lacking().await, None);
    let newer = Database::connect(&bare, &NEWER).await.unwrap();
    assert_eq!(newer.lacking().await.unwrap(), "the schema is old: version 1, this program needs 2");
    newer.migrate().await.unwrap();
    assert_eq!(newer.lacking().await, None);
    assert_eq!(database.lacking().await, None, "a newer one may do");
    database.close().await;
    newer.close().await;
}

#[tokio::test]
async fn who_misses_a_table_or_a_column_is_told_to_migrate() {
    let database = connect("sqlite::memory:".to_owned()).await.unwrap();
    for wrong in [
        "SELECT meaning FROM kit_words",
        "SELECT word FROM kit_sentences",
        "INSERT INTO kit_words (meaning) VALUES ('x')",
        "UPDATE kit_words SET meaning = 'x'",
    ] {
        let run = on_pool!(database, pool => sqlx::query(wrong).execute(pool).await.map(|_| ()));
        let error = run.map_err(database.failed("ask")).unwrap_err();
        assert!(format!("{error} {error:?}").contains("database.migrate: true"), "{wrong}: {error:?}");
    }
}

#[tokio::test]
async fn what_is_not_a_database_is_no_passing_trouble() {
    let folder = Folder::new();
    let file = folder.path("letter.db");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "this is a letter, not a database; it is long enough to have a header").unwrap();
    let error = refused(folder.url("letter.db")).await;
    assert!(!error.is_unavailable() && !error.is_read_only(), "{error}");
}

#[tokio::test]
async fn wrong_settings_are_an_error_before_anything_is_opened() {
    let error = refused("mysql://root:secret@db".to_owned()).await;
    assert!(error.to_string().contains("`url`") && !error.to_string().contains("secret"), "{error}");
    assert!(!error.is_unavailable());
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn the_pool_is_seen() {
    use crate::telemetry::metrics::{Format, Metrics};

    let folder = Folder::new();
    // No more than are taken below: the start may have opened one, which comes back when it likes.
    let config = DatabaseConfig { max_connections: 2, ..DatabaseConfig::new(folder.url("pool.db")) };
    let (database, metrics) = (Database::connect(&config, &SCHEMA).await.unwrap(), Metrics::new());
    database.observe(&metrics).unwrap();
    let value = |name: &str| -> f64 {
        let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
        let line = text.lines().find(|line| !line.starts_with('#') && line.contains(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert_eq!(value("kit_sql_connections_max"), 2.0);
    let super::Pool::Sqlite(pool) = database.pool() else { panic!("it is SQLite") };
    let (first, second) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    assert_eq!((value("state=\"idle\""), value("state=\"used\"")), (0.0, 2.0));
    first.close().await.unwrap();
    assert_eq!(value("state=\"used\""), 1.0);
    drop(second);
    database.close().await;
    assert_eq!(value("state=\"used\""), 0.0);
}
