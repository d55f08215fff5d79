use std::{
    sync::{Arc, PoisonError},
    time::SystemTime,
};

use axum::response::Response;
use http::request::Parts;

use super::{Shared, html};
use crate::{
    Error,
    debug::{
        answer::{self, Query},
        charts::{self, About},
        stack,
    },
};

const MAIN: &str = include_str!("../assets/charts.html");

const HEAD: &str = r#"<link rel="stylesheet" href="../assets/charts.css">
<script src="../assets/history.js" defer></script>
<script src="../assets/chart.js" defer></script>
<script src="../assets/charts.js" defer></script>
"#;

fn off() -> Error {
    Error::not_found("there are no charts: they are switched off by debug.charts")
}

/// The page; its script asks for the figures.
pub(super) fn page(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    Query::read(&parts.uri, &[])?;
    shared.history.as_ref().ok_or_else(off)?;
    Ok(answer::html(html::document(shared, "Charts", "../", HEAD, MAIN)))
}

/// The figures after the moment `since`, when the page has those before from the same start of the process.
pub(super) async fn data(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    let query = Query::read(&parts.uri, &["since", "boot"])?;
    let since = match query.get("since") {
        Some(since) => since
            .parse()
            .map_err(|_| Error::invalid_argument(format!("since is {since:?}: use the seq of an earlier answer")))?,
        None => 0,
    };
    let history = Arc::clone(shared.history.as_ref().ok_or_else(off)?);
    let other_process = query.get("boot").is_some_and(|boot| boot != shared.boot);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let about = About {
        boot: shared.boot.clone(),
        uptime: shared.uptime().as_secs_f64(),
        now: now.as_secs_f64(),
        states: stack::states(&shared.stack),
    };
    let since = if other_process { 0 } else { since };
    // The whole history is some hundred thousand numbers: calls need not wait for them, and the sampler not for their digits.
    let write = move || {
        let columns = history.lock().unwrap_or_else(PoisonError::into_inner).since(since);
        charts::write(&columns, &about)
    };
    let json = tokio::task::spawn_blocking(write).await;
    let json = json.map_err(|error| Error::internal("the figures can't be written").with_source(error))?;
    Ok(answer::with_type("application/json", json))
}
