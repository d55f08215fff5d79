//! What holds on every backend.

use bookdetails::models::Book;
use bookdetails::repository::{Books, DatabaseConfig, SqlBooks};
use sqlx::Connection;

use kit::sql::testing::on_each_backend;

on_each_backend!(
    samples_are_entered_once,
    a_book_that_is_not_there_is_none,
    seeding_leaves_changed_rows_alone,
    two_processes_may_start_together,
    without_migration_the_error_says_so,
    ready_until_closed,
);

fn config(url: &str) -> DatabaseConfig {
    DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new(url) }
}

async fn all(books: &SqlBooks) -> Vec<Book> {
    let mut found = Vec::new();
    for id in 0..=4 {
        found.extend(books.find(id).await.unwrap());
    }
    found
}

async fn samples_are_entered_once(url: String) {
    let books = SqlBooks::connect(&config(&url)).await.unwrap();
    let first = all(&books).await;
    assert_eq!(first.iter().map(|book| book.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(first[0].name, "Dream of the Red Chamber (红楼梦)");
    assert!(first.iter().all(|book| !book.author.is_empty() && !book.intro.is_empty()));
    books.database().migrate().await.unwrap();
    books.seed().await.unwrap();
    assert_eq!(all(&books).await, first);
    books.database().close().await;

    let again = SqlBooks::connect(&config(&url)).await.unwrap();
    assert_eq!(all(&again).await, first);
    again.database().close().await;
}

async fn a_book_that_is_not_there_is_none(url: String) {
    let books = SqlBooks::connect(&config(&url)).await.unwrap();
    for id in [i64::MIN, -1, 0, 4, i64::MAX] {
        assert_eq!(books.find(id).await.unwrap(), None);
    }
    books.database().close().await;
}

async fn seeding_leaves_changed_rows_alone(url: String) {
    let books = SqlBooks::connect(&config(&url)).await.unwrap();
    let text = "石头记 🪨📕";
    change_name_and_delete_second(&url, text).await;
    books.seed().await.unwrap();
    let found = all(&books).await;
    assert_eq!(found.len(), 3, "the missing one is back");
    assert_eq!(found[0].name, text, "the changed one is as somebody left it");
    books.database().close().await;
}

/// Behind the store's back, as an operator would.
async fn change_name_and_delete_second(url: &str, name: &str) {
    const DELETE: &str = "DELETE FROM details_books WHERE id = 2";
    const UPDATE: &str = "UPDATE details_books SET name = $1 WHERE id = 1";
    match url.split(':').next().unwrap() {
        "sqlite" => {
            let mut direct = sqlx::SqliteConnection::connect(url).await.unwrap();
            sqlx::query(DELETE).execute(&mut direct).await.unwrap();
            sqlx::query(UPDATE).bind(name).execute(&mut direct).await.unwrap();
        }
        "mysql" => {
            let mut direct = sqlx::MySqlConnection::connect(url).await.unwrap();
            sqlx::query(DELETE).execute(&mut direct).await.unwrap();
            let update = "UPDATE details_books SET name = ? WHERE id = 1";
            sqlx::query(update).bind(name).execute(&mut direct).await.unwrap();
        }
        _ => {
            let mut direct = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::query(DELETE).execute(&mut direct).await.unwrap();
            sqlx::query(UPDATE).bind(name).execute(&mut direct).await.unwrap();
        }
    }
}

async fn two_processes_may_start_together(url: String) {
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let config = config(&url);
            tokio::spawn(async move { SqlBooks::connect(&config).await })
        })
        .collect();
    for start in starts {
        let books = start.await.unwrap().unwrap();
        assert_eq!(all(&books).await.len(), 3);
        books.database().close().await;
    }
}

async fn without_migration_the_error_says_so(url: String) {
    let bare = DatabaseConfig { migrate: false, seed: false, ..config(&url) };
    let books = SqlBooks::connect(&bare).await.unwrap();
    for error in [books.find(1).await.unwrap_err(), books.seed().await.unwrap_err()] {
        assert!(error.to_string().contains("database.migrate"), "{error}");
        assert!(!error.is_unavailable() && !error.is_read_only());
    }
    books.database().migrate().await.unwrap();
    assert_eq!(books.find(1).await.unwrap(), None);
    books.database().close().await;
}

async fn ready_until_closed(url: String) {
    let books = SqlBooks::connect(&config(&url)).await.unwrap();
    books.database().check().await.unwrap();
    books.database().close().await;
    let error = books.database().check().await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

#[tokio::test]
async fn an_in_memory_database_needs_no_file() {
    let books = SqlBooks::connect(&config("sqlite::memory:")).await.unwrap();
    assert_eq!(all(&books).await.len(), 3);
    let other = SqlBooks::connect(&DatabaseConfig { seed: false, ..config("sqlite::memory:") }).await.unwrap();
    assert!(all(&other).await.is_empty(), "every one is its own");
}
