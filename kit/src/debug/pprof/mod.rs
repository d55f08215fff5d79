//! Profiles of the running process, as Go's `net/http/pprof` serves them and `go tool pprof` reads them.

use std::{future::Future, io, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Redirect, Response},
    routing::{MethodRouter, get},
};
use futures_util::stream;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use tokio_util::sync::CancellationToken;

use super::{
    Refusal,
    answer::{self, Query},
    flamegraph::{self, Graphs},
    guard,
};

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
mod runtime;
mod samples;
mod symbols;
mod turn;

pub(super) use heap::heap;
pub(super) use mappings::Mappings;
pub(super) use query::MAX_SECONDS;
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
#[derive(Clone, Debug, Default)]
pub(super) struct Profiles {
    stop: CancellationToken,
    symbols: Arc<Symbols>,
    graphs: Arc<Graphs>,
}

impl Profiles {
    /// Nothing recorded, nothing kept.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Ends the recordings that run, which are answered with what they have, and refuses new ones: call it when the server
    /// begins to stop, so that a profile of five minutes does not hold it up. What can't be written within a second is given up.
    pub(super) fn stop(&self) {
        self.stop.cancel();
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

/// The routes `/debug/pprof/` and `/debug/flamegraph`. Whoever serves them guards them: they show what the program does and
/// where it stands in memory.
pub(super) fn routes(profiles: Profiles) -> Router {
    let symbol = page(async |profiles, parts| lookup::by_query(&profiles, &parts).await).post(
        async |State(profiles): State<Profiles>, request: Request| {
            let (parts, body) = request.into_parts();
            answer::either(&parts.headers, lookup::by_body(&profiles, body).await)
        },
    );
    let routes = Router::new()
        .route("/pprof", get(async || Redirect::permanent("pprof/")))
        .route("/pprof/", get(index::page))
        .route("/pprof/profile", recording(async |profiles, parts| profile(profiles, &parts).await))
        .route("/pprof/heap", page(async |profiles, parts| memory(&profiles, &parts, "inuse_space").await))
        .route("/pprof/allocs", page(async |profiles, parts| memory(&profiles, &parts, "alloc_space").await))
        .route("/pprof/trace", recording(async |profiles, parts| runtime::trace(&profiles, &parts).await))
        .route("/pprof/cmdline", get(async || cmdline::cmdline()))
        .route("/pprof/symbol", symbol)
        .route("/pprof/{name}", page(async |_, parts| Err(unknown(&parts))))
        .merge(flamegraph::routes())
        .with_state(profiles);
    Router::new().nest("/debug", routes)
}

/// Answers by the head of a request, in the form that it takes.
pub(super) fn page<F, Fut>(ask: F) -> MethodRouter<Profiles>
where
    F: Fn(Profiles, Arc<Parts>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Refusal>> + Send,
{
    get(async move |State(profiles): State<Profiles>, parts: Parts| {
        let parts = Arc::new(parts);
        answer::either(&parts.headers, ask(profiles, Arc::clone(&parts)).await)
    })
}

/// The same for what records: not for the link of another site, and not for `HEAD`, which asks for no recording.
pub(super) fn recording<F, Fut>(ask: F) -> MethodRouter<Profiles>
where
    F: Fn(Profiles, Arc<Parts>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Refusal>> + Send,
{
    page(move |profiles, parts: Arc<Parts>| {
        let ask = ask.clone();
        async move {
            guard::check_own(&parts)?;
            if parts.method == Method::HEAD {
                return Ok(Response::default());
            }
            ask(profiles, parts).await
        }
    })
}

async fn profile(profiles: Profiles, parts: &Parts) -> Result<Response, Refusal> {
    let query = Query::read(&parts.uri, &["seconds", "hz"])?;
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

async fn memory(profiles: &Profiles, parts: &Parts, default: &'static str) -> Result<Response, Refusal> {
    Query::read(&parts.uri, &[])?;
    let samples = heap(profiles, default).await?;
    let name = if default == "inuse_space" { "heap" } else { "allocs" };
    Ok(download(encoded(profiles, samples).await?, "application/octet-stream", name))
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

fn unknown(parts: &Parts) -> Refusal {
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default();
    let names = "profile, heap, allocs, trace, cmdline, symbol";
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no profile {name:?}; there are: {names}"))
}
