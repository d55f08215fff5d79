//! The pages below `/debug/`.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    response::Response,
    routing::{MethodRouter, get},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use tokio::{runtime::RuntimeMetrics, time::Instant};

use super::{
    ConfigEntry, DebugConfig, LogControl, Refusal, answer,
    charts::{Gauges, History},
    guard,
    stack::MethodStack,
};
use crate::{Error, task::Tasks, telemetry::metrics::Metrics};

mod charts;
mod config;
mod html;
mod index;
mod layer;
mod log;
mod stack;
mod tasks;
mod vars;

/// What the pages show.
pub(super) struct Shared {
    pub(super) name: Cow<'static, str>,
    pub(super) version: Option<Cow<'static, str>>,
    pub(super) boot: String,
    pub(super) started: Instant,
    /// The time since 1970.
    pub(super) started_at: Duration,
    pub(super) metrics: Option<Metrics>,
    pub(super) runtime: RuntimeMetrics,
    pub(super) stack: Vec<MethodStack>,
    pub(super) gauges: Arc<[Gauges]>,
    pub(super) settings: Option<Vec<ConfigEntry>>,
    pub(super) log: Option<Box<dyn LogControl>>,
    pub(super) tasks: Vec<Tasks>,
    pub(super) history: Option<Arc<Mutex<History>>>,
}

impl Shared {
    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// What a page is called, and why it shows nothing where that is so.
struct Page {
    path: &'static str,
    title: &'static str,
    about: &'static str,
    missing: Option<&'static str>,
}

/// All pages, in the order of the index.
fn pages(shared: &Shared) -> [Page; 8] {
    let page = |path, title, about, missing: Option<&'static str>| Page { path, title, about, missing };
    let no_profiles = (!cfg!(feature = "pprof")).then_some("built without the feature pprof");
    [
        page(
            "/debug/charts/",
            "Charts",
            "Calls, durations and errors of each method, memory, CPU and tasks: live, with the last 15 minutes",
            shared.history.is_none().then_some("switched off by debug.charts"),
        ),
        page(
            "/debug/stack",
            "Stack",
            "The layers around each method, from the outside in, with their settings and their state",
            shared.stack.is_empty().then_some("main passes no endpoints to Debug::service"),
        ),
        page(
            "/debug/config",
            "Config",
            "The effective settings, secrets masked, and where each was set",
            shared.settings.is_none().then_some("main passes no settings to Debug::settings"),
        ),
        page(
            "/debug/log",
            "Log",
            "The level of the log, and a way to change it while the service runs",
            shared.log.is_none().then_some("main passes no log to Debug::log"),
        ),
        page(
            "/debug/tasks",
            "Tasks",
            "Background tasks: how many run, were started and panicked; the figures of the runtime",
            None,
        ),
        page("/debug/vars", "Vars", "All figures of now as JSON, for programs", None),
        page(
            "/debug/pprof/",
            "Profiles",
            "CPU and heap profiles for go tool pprof, and a trace of the runtime",
            no_profiles,
        ),
        page(
            "/debug/flamegraph",
            "Flame graph",
            "Where the time goes, drawn; ?seconds= says for how long",
            no_profiles,
        ),
    ]
}

/// Answers a request by its head alone.
type Answer = fn(&Shared, &Parts) -> Result<Response, Error>;

fn page(shared: &Arc<Shared>, answer: Answer) -> MethodRouter {
    let shared = Arc::clone(shared);
    get(move |parts: Parts| async move { answer::either(&parts.headers, answer(&shared, &parts)) })
}

/// The figures of the charts, which are written on another thread.
fn figures(shared: &Arc<Shared>) -> MethodRouter {
    let shared = Arc::clone(shared);
    get(move |parts: Parts| async move { answer::either(&parts.headers, charts::data(&shared, &parts).await) })
}

fn asset(content_type: &'static str, content: &'static str) -> MethodRouter {
    get(move || async move { answer::with_type(content_type, content) })
}

fn redirect(to: &'static str) -> MethodRouter {
    get(move || async move {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
        response
    })
}

pub(super) fn routes(shared: Shared, config: DebugConfig, #[cfg(feature = "pprof")] profiles: Router) -> Router {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let shared = Arc::new(shared);
    let routes = Router::new()
        .route("/", redirect("debug/"))
        .route("/debug", redirect("debug/"))
        .route("/debug/", page(&shared, index::answer))
        .route("/debug/charts", redirect("charts/"))
        .route("/debug/charts/", page(&shared, charts::page))
        .route("/debug/charts/data", figures(&shared))
        .route("/debug/stack", page(&shared, stack::answer))
        .route(layer::PATH, layer::routes(&shared))
        .route("/debug/config", page(&shared, config::answer))
        .route("/debug/vars", page(&shared, vars::answer))
        .route("/debug/tasks", page(&shared, tasks::answer))
        .route("/debug/log", log::routes(&shared))
        .route("/debug/assets/debug.css", asset("text/css; charset=utf-8", include_str!("../assets/debug.css")))
        .route("/debug/assets/debug.js", asset(SCRIPT, include_str!("../assets/debug.js")))
        .route("/debug/assets/charts.css", asset("text/css; charset=utf-8", include_str!("../assets/charts.css")))
        .route("/debug/assets/chart.js", asset(SCRIPT, include_str!("../assets/chart.js")))
        .route("/debug/assets/history.js", asset(SCRIPT, include_str!("../assets/history.js")))
        .route("/debug/assets/charts.js", asset(SCRIPT, include_str!("../assets/charts.js")));
    #[cfg(feature = "pprof")]
    let routes = routes.merge(profiles);
    routes
        .fallback(move |parts: Parts| async move { not_found(&shared, &parts) })
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::new(config), guard::guard))
}

fn not_found(shared: &Shared, parts: &Parts) -> Response {
    let there = pages(shared).into_iter().filter(|page| page.missing.is_none());
    let there: Vec<_> = there.map(|page| format!("  {:<18}  {}", page.path, page.title)).collect();
    let path = parts.uri.path();
    let error = Error::not_found(format!(
        "there is no page {path:?}. There is\n\n  {:<18}  {}\n{}",
        "/debug/",
        "Overview",
        there.join("\n")
    ));
    Refusal::from(error).respond(&parts.headers)
}

async fn wrong_method(parts: Parts) -> Response {
    let (method, path) = (&parts.method, parts.uri.path());
    let text = format!("{path} does not take {method}: see the header Allow");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).respond(&parts.headers)
}
