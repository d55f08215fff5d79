//! Profiles of the running process, as Go's `net/http/pprof` serves them and `go tool pprof` reads them.

use std::{io, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::flamegraph::{self, Graphs};

mod cmdline;
pub(super) mod cpu;
mod elf;
mod encode;
mod format;
mod heap;
mod index;
mod lookup;
mod mappings;
mod query;
mod refusal;
mod runtime;
mod samples;
mod symbols;
mod turn;

pub(super) use heap::heap;
pub(super) use mappings::Mappings;
pub(super) use query::{MAX_SECONDS, Query};
pub(super) use refusal::Refusal;
pub(super) use samples::{Collapsed, Samples};
#[cfg(feature = "heap")]
pub(super) use samples::{Stack, Unit};
#[cfg(feature = "heap")]
pub(super) use symbols::Location;
pub(super) use symbols::Symbols;
pub(super) use turn::Turn;

/// The profiles and flame graphs of this process, and what is kept of them.
///
/// Clones share what is kept. One recording runs at a time in the process, also when there are several of these.
///
/// ```no_run
/// # async fn example() -> Result<(), kit::server::ServeError> {
/// use kit::{debug::Profiles, server::{Server, shutdown_signal}};
///
/// let profiles = Profiles::new();
/// let server = Server::new().http("127.0.0.1:5003").routes(profiles.routes("/debug")).bind().await?;
/// server
///     .run(async {
///         shutdown_signal().await;
///         profiles.stop();
///     })
///     .await?;
/// # Ok(()) }
/// ```
///
/// Then `go tool pprof http://localhost:5003/debug/pprof/profile?seconds=5`, or a browser at `/debug/pprof/`.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    stop: CancellationToken,
    symbols: Arc<Symbols>,
    graphs: Arc<Graphs>,
}

impl Profiles {
    /// Nothing recorded, nothing kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the recordings that run, which are answered with what they have, and refuses new ones: call it when the server
    /// begins to stop, so that a profile of five minutes does not hold it up. What can't be written within a second is given up.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// The routes `/pprof/` and `/flamegraph` below a path, such as `/debug`.
    ///
    /// They show what the program does and where it stands in memory: serve them where only those can connect who keep the
    /// service alive.
    pub fn routes(&self, below: &str) -> Router {
        Router::new().nest(below, routes(self.clone()))
    }

    pub(super) fn graphs(&self) -> &Graphs {
        &self.graphs
    }

    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Takes the turn to record, unless the server stops.
    pub(super) fn turn(&self, what: &'static str, length: std::time::Duration) -> Result<Turn, Refusal> {
        if self.stop.is_cancelled() {
            return Err(Refusal::stopping());
        }
        Turn::take(what, length)
    }

    /// Runs what blocks on a thread for that. The function is told by the token when nobody waits for it any more.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        function: impl FnOnce(&Symbols, &CancellationToken) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let abandoned = CancellationToken::new();
        let _guard = abandoned.clone().drop_guard();
        let symbols = Arc::clone(&self.symbols);
        tokio::task::spawn_blocking(move || function(&symbols, &abandoned))
            .await
            .unwrap_or_else(|error| Err(Refusal::failed("the profile can't be made", &error)))
    }
}

/// All routes, to be nested.
pub(super) fn routes(profiles: Profiles) -> Router {
    Router::new()
        .route("/pprof", get(async || Redirect::permanent("pprof/")))
        .route("/pprof/", get(index::page))
        .route("/pprof/profile", get(profile))
        .route(
            "/pprof/heap",
            get(async |State(profiles), RawQuery(query)| memory(profiles, query, "inuse_space").await),
        )
        .route(
            "/pprof/allocs",
            get(async |State(profiles), RawQuery(query)| memory(profiles, query, "alloc_space").await),
        )
        .route("/pprof/trace", get(runtime::trace))
        .route("/pprof/cmdline", get(async || cmdline::cmdline()))
        .route("/pprof/symbol", get(lookup::by_query).post(lookup::by_body))
        .route("/pprof/{name}", get(unknown))
        .merge(flamegraph::routes())
        .with_state(profiles)
}

async fn profile(State(profiles): State<Profiles>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref(), &["seconds", "hz"])?;
    let (length, hz) = (query.seconds(30, MAX_SECONDS)?, query.sampling()?);
    let turn = profiles.turn("a CPU profile", length)?;
    let recorded = cpu::record(&profiles, turn, length, hz).await?;
    // The head goes out before the functions have their names: `go tool pprof` waits for it a few seconds longer than asked for.
    let file = stream::once(async move {
        let file = async { encoded(&profiles, recorded.finish(&profiles).await?).await };
        file.await.map_err(|refusal: Refusal| io::Error::other(refusal.to_string()))
    });
    Ok(download(Body::from_stream(file), "application/octet-stream", "profile"))
}

async fn memory(profiles: Profiles, query: Option<String>, default: &'static str) -> Result<Response, Refusal> {
    Query::read(query.as_deref(), &[])?;
    let samples = heap(&profiles, default).await?;
    let name = if default == "inuse_space" { "heap" } else { "allocs" };
    Ok(download(encoded(&profiles, samples).await?, "application/octet-stream", name))
}

async fn encoded(profiles: &Profiles, samples: Samples) -> Result<Vec<u8>, Refusal> {
    let write = move |_: &Symbols, _: &CancellationToken| {
        encode::encode(&samples).map_err(|error| Refusal::failed("the profile can't be written", &error))
    };
    profiles.blocking(write).await
}

/// An answer that browsers save.
pub(super) fn download(content: impl Into<Body>, content_type: &'static str, name: &str) -> Response {
    let mut response = content.into().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

async fn unknown(Path(name): Path<String>) -> Refusal {
    let names = "profile, heap, allocs, trace, cmdline, symbol";
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no profile {name:?}; there are: {names}"))
}
