//! Flame graphs: where time or memory goes, drawn so that it can be clicked and searched; the last ones are kept, to be
//! compared with.

use axum::{
    Router,
    extract::State,
    response::{Redirect, Response},
    routing::get,
};
use http::{HeaderValue, StatusCode, header, request::Parts};

use super::{
    Refusal,
    answer::Query,
    pprof::{MAX_SECONDS, Profiles, cpu, download, heap, recording},
};

mod draw;
mod graphs;

pub(super) use graphs::Graphs;
use graphs::{Graph, Kind};

/// How long a CPU flame graph is recorded when it is not said: someone waits for it in a browser.
const DEFAULT_SECONDS: u32 = 5;

pub(super) fn routes() -> Router<Profiles> {
    Router::new()
        .route("/flamegraph", recording(async |profiles, parts| flamegraph(&profiles, &parts).await))
        .route("/flamegraph/", get(async || Redirect::permanent("../pprof/")))
        .route("/flamegraph/list", get(list))
}

async fn flamegraph(profiles: &Profiles, parts: &Parts) -> Result<Response, Refusal> {
    let query = Query::read(&parts.uri, &["seconds", "hz", "kind", "diff", "id", "format"])?;
    let as_text = match query.get("format") {
        None | Some("svg") => false,
        Some("collapsed") => true,
        Some(other) => {
            return Err(Refusal::bad_request(format!("format={other} is unknown; there are: svg, collapsed")));
        }
    };
    // Before anything is recorded: a graph that can't be compared is not what was asked for.
    let before = query.get("diff").map(|id| find(profiles, id)).transpose()?;
    let graph = match query.get("id") {
        Some(id) => {
            if let Some(other) = ["seconds", "hz", "kind"].into_iter().find(|name| query.get(name).is_some()) {
                return Err(Refusal::bad_request(format!(
                    "a graph that is kept is what it is: id and {other} exclude each other"
                )));
            }
            let graph = find(profiles, id)?;
            comparable(before.as_ref(), graph.kind)?;
            graph
        }
        None => {
            let kind = Kind::read(query.get("kind"))?;
            comparable(before.as_ref(), kind)?;
            new(profiles, kind, &query).await?
        }
    };
    let id = graph.id;
    let (content, content_type) = profiles
        .blocking(move |_, _| {
            if as_text {
                return Ok((draw::text(&graph, before.as_ref()).into_bytes(), "text/plain; charset=utf-8"));
            }
            Ok((draw::svg(&graph, before.as_ref())?, "image/svg+xml"))
        })
        .await?;
    let mut response = download(content, content_type, "flamegraph");
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_DISPOSITION);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-profile-id", HeaderValue::from(id));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'; \
             base-uri 'none'",
        ),
    );
    Ok(response)
}

/// Records a graph and keeps it.
async fn new(profiles: &Profiles, kind: Kind, query: &Query) -> Result<Graph, Refusal> {
    if kind != Kind::Cpu
        && let Some(name) = ["seconds", "hz"].into_iter().find(|name| query.get(name).is_some())
    {
        return Err(Refusal::bad_request(format!("{name} is for kind=cpu: memory is shown as it is at the moment")));
    }
    let samples = match kind {
        Kind::Cpu => {
            let (length, hz) = (query.seconds(DEFAULT_SECONDS, MAX_SECONDS)?, query.sampling()?);
            let turn = profiles.turn("a CPU flame graph", length)?;
            cpu::record(profiles, turn, length, hz).await?.finish(profiles).await?
        }
        _ => heap(profiles, kind.name()).await?,
    };
    let (started, length) = (samples.started, samples.length);
    let stacks = profiles.blocking(move |_, _| Ok(samples.collapse(kind.name()))).await?;
    Ok(profiles.graphs().keep(kind, started, length, stacks))
}

fn find(profiles: &Profiles, id: &str) -> Result<Graph, Refusal> {
    let found = id.parse().ok().and_then(|id| profiles.graphs().get(id));
    found.ok_or_else(|| {
        let known: Vec<String> = profiles.graphs().list().iter().map(|graph| graph.id.to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no flame graph {id:?}; kept are: {known}"))
    })
}

fn comparable(before: Option<&Graph>, kind: Kind) -> Result<(), Refusal> {
    match before {
        Some(before) if before.kind != kind => Err(Refusal::bad_request(format!(
            "graph {} is of {} and can't be compared with {}",
            before.id,
            before.kind.name(),
            kind.name(),
        ))),
        _ => Ok(()),
    }
}

/// A line for each graph that is kept, the newest first.
async fn list(State(profiles): State<Profiles>) -> String {
    profiles.graphs().list().iter().map(|graph| format!("{} {}\n", graph.id, graph.describe())).collect()
}
