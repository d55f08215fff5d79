//! What the store does when its database takes no writes.

use bookcomments::repository::{Comments, DatabaseConfig, SqlComments};
use kit::sql::testing::Folder;

#[tokio::test]
async fn a_read_only_file_can_be_read_and_takes_no_comment() {
    let folder = Folder::new();
    let config = |url| DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new(url) };
    SqlComments::connect(&config(folder.url("a.db"))).await.unwrap().database().close().await;

    let comments = SqlComments::connect(&config(folder.url("a.db?mode=ro"))).await.unwrap();
    let before = comments.list(1, 10).await.unwrap();
    let error = comments.add(1, "never stored").await.unwrap_err();
    assert!(error.is_read_only() && !error.is_unavailable(), "{error}");
    assert!(!error.to_string().contains("never stored"), "{error}");
    assert_eq!(before.len(), 3);
    assert_eq!(comments.list(1, 10).await.unwrap(), before);
    comments.database().check().await.unwrap();
}
