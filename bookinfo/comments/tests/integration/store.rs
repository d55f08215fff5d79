//! What holds on every backend.

use std::time::SystemTime;

use bookcomments::models::Comment;
use bookcomments::repository::{Comments, DatabaseConfig, MAX_CONTENT_BYTES, SqlComments};

use kit::sql::testing::{Folder, on_each_backend};

on_each_backend!(
    samples_are_entered_once,
    seeding_leaves_a_used_database_alone,
    a_book_without_comments_has_none,
    comments_are_listed_newest_last,
    a_watcher_sees_what_follows,
    every_text_comes_back_as_it_went,
    a_text_that_some_backend_cannot_keep_is_rejected_by_all,
    times_are_of_now_and_of_one_width,
    two_processes_may_start_together,
    without_migration_the_error_says_so,
    ready_until_closed,
    a_read_only_session_takes_no_comment,
    confirmed_comments_are_there_after_reopening,
);

pub(crate) fn config(url: &str) -> DatabaseConfig {
    DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new(url) }
}

pub(crate) async fn empty(url: &str) -> SqlComments {
    SqlComments::connect(&DatabaseConfig { seed: false, ..config(url) }).await.unwrap()
}

fn contents(comments: &[Comment]) -> Vec<&str> {
    comments.iter().map(|comment| comment.content.as_str()).collect()
}

async fn samples_are_entered_once(url: String) {
    let comments = SqlComments::connect(&config(&url)).await.unwrap();
    let first = comments.list(1, 10).await.unwrap();
    assert_eq!(first.len(), 3);
    assert!(first.is_sorted_by_key(|comment| (comment.id, comment.created_at.clone())));
    assert!(first.iter().all(|comment| comment.book_id == 1 && !comment.content.is_empty()));
    comments.database().migrate().await.unwrap();
    comments.seed().await.unwrap();
    assert_eq!(comments.list(1, 10).await.unwrap(), first);
    comments.database().close().await;

    let again = SqlComments::connect(&config(&url)).await.unwrap();
    assert_eq!(again.list(1, 10).await.unwrap(), first);
    let next = again.add(1, "the fourth").await.unwrap();
    assert!(next.id > first[2].id, "samples do not take the ids of later comments");
    again.database().close().await;
}

async fn seeding_leaves_a_used_database_alone(url: String) {
    let comments = empty(&url).await;
    let only = comments.add(5, "the only one").await.unwrap();
    comments.seed().await.unwrap();
    assert_eq!(comments.list(1, 10).await.unwrap(), []);
    assert_eq!(comments.list(5, 10).await.unwrap(), [only]);
    comments.database().close().await;
}

async fn a_book_without_comments_has_none(url: String) {
    let comments = SqlComments::connect(&config(&url)).await.unwrap();
    for book in [i64::MIN, -1, 0, 2, i64::MAX] {
        assert_eq!(comments.list(book, 10).await.unwrap(), []);
        assert_eq!(comments.after(book, 0, 10).await.unwrap(), []);
        assert_eq!(comments.last_id(book).await.unwrap(), 0);
    }
    comments.database().close().await;
}

async fn comments_are_listed_newest_last(url: String) {
    let comments = empty(&url).await;
    let mut added = Vec::new();
    for content in ["a", "b", "c", "d"] {
        added.push(comments.add(7, content).await.unwrap());
        comments.add(8, "of another book").await.unwrap();
    }
    assert_eq!(comments.list(7, 10).await.unwrap(), added);
    assert_eq!(comments.list(7, u32::MAX).await.unwrap(), added);
    assert_eq!(contents(&comments.list(7, 2).await.unwrap()), ["c", "d"]);
    assert_eq!(comments.list(7, 0).await.unwrap(), []);
    assert_eq!(comments.last_id(7).await.unwrap(), added[3].id);
    for book in [i64::MIN, -1, i64::MAX] {
        let extreme = comments.add(book, "of a book that cannot be").await.unwrap();
        assert_eq!(comments.list(book, 1).await.unwrap(), [extreme]);
    }
    comments.database().close().await;
}

async fn a_watcher_sees_what_follows(url: String) {
    let comments = SqlComments::connect(&config(&url)).await.unwrap();
    let last = comments.last_id(1).await.unwrap();
    assert_eq!(comments.after(1, last, 10).await.unwrap(), []);
    let mut added = Vec::new();
    for content in ["a", "b", "c"] {
        comments.add(2, "of another book").await.unwrap();
        added.push(comments.add(1, content).await.unwrap());
    }
    assert_eq!(comments.after(1, last, 10).await.unwrap(), added);
    assert_eq!(comments.after(1, last, 2).await.unwrap(), added[..2]);
    assert_eq!(comments.after(1, added[1].id, 2).await.unwrap(), added[2..]);
    assert_eq!(comments.after(1, i64::MAX, 2).await.unwrap(), []);
    assert_eq!(comments.after(1, i64::MIN, 100).await.unwrap().len(), 6);
    comments.database().close().await;
}

async fn every_text_comes_back_as_it_went(url: String) {
    let comments = empty(&url).await;
    let longest = "書".repeat(MAX_CONTENT_BYTES / 3);
    let texts = ["红楼梦 🪨📕👩‍👩‍👧", "", "  spaces \t\r\n", "'; DROP TABLE x; --", "\\ \" ` % _", &longest];
    for text in texts {
        let added = comments.add(1, text).await.unwrap();
        assert_eq!(added.content, text);
        assert_eq!(comments.list(1, 1).await.unwrap(), [added]);
    }
    assert_eq!(contents(&comments.list(1, 10).await.unwrap()), texts);
    comments.database().close().await;
}

async fn a_text_that_some_backend_cannot_keep_is_rejected_by_all(url: String) {
    let comments = empty(&url).await;
    let long = "x".repeat(MAX_CONTENT_BYTES + 1);
    for text in ["a\0b", &long] {
        let error = comments.add(1, text).await.unwrap_err();
        assert!(error.is_rejected() && !error.is_unavailable() && !error.is_read_only(), "{error}");
    }
    assert_eq!(comments.list(1, 10).await.unwrap(), []);
    comments.database().close().await;
}

async fn times_are_of_now_and_of_one_width(url: String) {
    let comments = empty(&url).await;
    let added = comments.add(1, "now").await.unwrap();
    let stored = comments.list(1, 1).await.unwrap();
    assert_eq!(stored[0].created_at, added.created_at);
    let shape: String = added.created_at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let year: u64 = added.created_at[..4].parse().unwrap();
    assert!(year.abs_diff(1970 + seconds / 31_556_952) <= 1, "{}", added.created_at);
    comments.database().close().await;
}

async fn two_processes_may_start_together(url: String) {
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let config = config(&url);
            tokio::spawn(async move { SqlComments::connect(&config).await })
        })
        .collect();
    for start in starts {
        let comments = start.await.unwrap().unwrap();
        assert_eq!(comments.list(1, 10).await.unwrap().len(), 3);
        comments.database().close().await;
    }
}

async fn without_migration_the_error_says_so(url: String) {
    let bare = DatabaseConfig { migrate: false, seed: false, ..config(&url) };
    let comments = SqlComments::connect(&bare).await.unwrap();
    for error in [comments.list(1, 1).await.unwrap_err(), comments.add(1, "a").await.unwrap_err()] {
        assert!(error.to_string().contains("database.migrate"), "{error}");
        assert!(!error.is_unavailable() && !error.is_read_only() && !error.is_rejected());
    }
    comments.database().close().await;
}

async fn ready_until_closed(url: String) {
    let comments = empty(&url).await;
    comments.database().check().await.unwrap();
    comments.database().close().await;
    for error in [comments.database().check().await.unwrap_err(), comments.add(1, "a").await.unwrap_err()] {
        assert!(error.is_unavailable(), "{error}");
    }
}

/// MySQL has no URL parameter for it, and its global switch would stop every other test.
async fn a_read_only_session_takes_no_comment(url: String) {
    let read_only = match url.split(':').next().unwrap() {
        "sqlite" => format!("{url}?mode=ro"),
        "postgres" => format!("{url}&options[default_transaction_read_only]=on"),
        _ => return,
    };
    SqlComments::connect(&config(&url)).await.unwrap().database().close().await;
    let config = DatabaseConfig { migrate: false, seed: false, ..config(&read_only) };
    let comments = SqlComments::connect(&config).await.unwrap();
    let error = comments.add(1, "never stored").await.unwrap_err();
    assert!(error.is_read_only() && !error.is_unavailable(), "{error}");
    assert_eq!(comments.list(1, 10).await.unwrap().len(), 3);
    comments.database().close().await;
}

async fn confirmed_comments_are_there_after_reopening(url: String) {
    let comments = empty(&url).await;
    let mut added = Vec::new();
    for number in 0..20 {
        added.push(comments.add(1, &number.to_string()).await.unwrap());
    }
    // As in a crash: nobody closes the pool.
    drop(comments);
    let again = empty(&url).await;
    assert_eq!(again.list(1, 100).await.unwrap(), added);
    again.database().close().await;
}

#[tokio::test]
async fn an_in_memory_database_needs_no_file() {
    let comments = SqlComments::connect(&config("sqlite::memory:")).await.unwrap();
    comments.add(1, "the fourth").await.unwrap();
    assert_eq!(comments.list(1, 10).await.unwrap().len(), 4);
    let other = empty("sqlite::memory:").await;
    assert_eq!(other.list(1, 10).await.unwrap(), [], "every one is its own");
}

#[tokio::test]
async fn a_file_that_is_locked_for_too_long_is_unavailable() {
    use sqlx::Connection;
    let folder = Folder::new();
    let url = folder.url("a.db");
    let comments = empty(&url).await;
    let mut other = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut other).await.unwrap();
    assert_eq!(journal, "wal");
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = comments.add(1, "a").await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert_eq!(comments.list(1, 1).await.unwrap(), [], "readers go on");
    lock.rollback().await.unwrap();
    comments.add(1, "a").await.unwrap();
}
