//! What the store does when its database takes no writes.

use bookdetails::repository::{Books, DatabaseConfig, SqlBooks};
use kit::sql::testing::Folder;

fn config(url: String) -> DatabaseConfig {
    DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new(url) }
}

#[tokio::test]
async fn a_read_only_file_can_be_read() {
    let folder = Folder::new();
    SqlBooks::connect(&config(folder.url("a.db"))).await.unwrap().database().close().await;

    let books = SqlBooks::connect(&config(folder.url("a.db?mode=ro"))).await.unwrap();
    books.seed().await.expect("nothing to write where all samples are there");
    assert!(books.find(3).await.unwrap().is_some());
    books.database().check().await.unwrap();
}

#[tokio::test]
async fn a_read_only_file_takes_no_samples() {
    let folder = Folder::new();
    let bare = DatabaseConfig { seed: false, ..config(folder.url("a.db")) };
    SqlBooks::connect(&bare).await.unwrap().database().close().await;

    let books = SqlBooks::connect(&config(folder.url("a.db?mode=ro"))).await.expect("the start goes on");
    let error = books.seed().await.unwrap_err();
    assert!(error.is_read_only() && !error.is_unavailable(), "{error}");
    assert_eq!(books.find(1).await.unwrap(), None);
}
