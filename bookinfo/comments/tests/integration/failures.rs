//! What the store says when its database fails it.

use std::time::{Duration, Instant};

use bookcomments::repository::{Comments, DatabaseConfig, RepositoryError, SqlComments};
use tokio::net::TcpListener;

use kit::sql::testing::Folder;

async fn refused(url: String) -> RepositoryError {
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_secs(1),
        migrate: true,
        seed: true,
        ..DatabaseConfig::default()
    };
    let start = Instant::now();
    let error = SqlComments::connect(&config).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    error
}

/// A port that nobody listens on: bound once to be free, then let go.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_at_once() {
    for scheme in ["mysql", "postgres"] {
        let port = free_port().await;
        let start = Instant::now();
        let error = refused(format!("{scheme}://root:secret@127.0.0.1:{port}/books")).await;
        assert!(start.elapsed() < Duration::from_millis(900), "the true cause, not the pool's timeout");
        assert!(error.is_unavailable() && !error.is_read_only());
        let text = format!("{error} {error:?}");
        assert!(text.contains(&format!("{scheme}://root@127.0.0.1:{port}/books")), "{text}");
        assert!(text.contains("refused") && text.contains("database.url"), "{text}");
        assert!(!text.contains("secret"), "{text}");
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
    let config = |url| DatabaseConfig { url, migrate: true, ..DatabaseConfig::default() };
    SqlComments::connect(&config(folder.url("file.db"))).await.unwrap().close().await;
    let error = refused(folder.url("file.db/below.db")).await;
    assert!(error.is_unavailable() && error.to_string().contains("file.db"), "{error}");
}

#[tokio::test]
async fn a_read_only_file_can_be_read_and_takes_no_comment() {
    let folder = Folder::new();
    let config = |url| DatabaseConfig { url, migrate: true, seed: true, ..DatabaseConfig::default() };
    SqlComments::connect(&config(folder.url("a.db"))).await.unwrap().close().await;

    let read_only = DatabaseConfig { migrate: false, seed: false, ..config(folder.url("a.db?mode=ro")) };
    let comments = SqlComments::connect(&read_only).await.unwrap();
    let before = comments.list(1, 10).await.unwrap();
    let error = comments.add(1, "never stored").await.unwrap_err();
    assert!(error.is_read_only() && !error.is_unavailable(), "{error}");
    assert!(!error.to_string().contains("never stored"), "{error}");
    assert_eq!(before.len(), 3);
    assert_eq!(comments.list(1, 10).await.unwrap(), before);
    comments.database().check().await.unwrap();
}

#[tokio::test]
async fn what_is_not_a_database_is_no_passing_trouble() {
    let folder = Folder::new();
    let url = folder.url("a.db");
    let path = url.strip_prefix("sqlite://").unwrap();
    std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
    std::fs::write(path, "this is a letter, not a database; it is long enough to have a header").unwrap();
    let error = refused(url).await;
    assert!(!error.is_unavailable() && !error.is_read_only(), "{error}");
}
