//! The service as an axum handler with extractors.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use serde::Deserialize;

use super::json::Book;

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
#[allow(dead_code, reason = "they are decoded, as the kit does")]
struct Find {
    language: String,
    chapters: i32,
    labels: bool,
}

async fn find(
    State(book): State<Arc<Book>>,
    Path((_shelf, id)): Path<(String, i64)>,
    Query(_find): Query<Find>,
) -> Json<Book> {
    Json(Book { id, ..Book::clone(&book) })
}

async fn store(Json(book): Json<Book>) -> Json<Book> {
    Json(book)
}

/// The routes of the service.
pub fn router(book: Book) -> Router {
    Router::new()
        .route("/v1/shelves/{shelf}/books/{id}", get(find))
        .route("/v1/books", post(store))
        .with_state(Arc::new(book))
}
