use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{Failure, peer::json::Note};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Get {
    language: String,
}

async fn echo(Json(note): Json<Note>) -> Json<Note> {
    Json(note)
}

async fn read(
    State(note): State<Arc<Note>>,
    Path((_shelf, id)): Path<(String, i64)>,
    Query(query): Query<Get>,
) -> Json<Note> {
    std::hint::black_box(query.language);
    Json(Note { id, ..Note::clone(&note) })
}

/// As axum's documentation starts it.
pub(super) async fn serve(ready: oneshot::Sender<SocketAddr>) -> Result<(), Failure> {
    let note = Arc::new(serde_json::from_str::<Note>(super::json())?);
    let app = Router::new()
        .route("/v1/notes", post(echo))
        .route("/v1/shelves/{shelf}/notes/{id}", get(read))
        .with_state(note);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let _ = ready.send(listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
