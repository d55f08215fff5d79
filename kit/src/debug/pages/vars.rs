use std::sync::PoisonError;

use axum::response::Response;
use http::request::Parts;
use serde_json::{Map, Value, json};

use super::{Shared, tasks};
use crate::{
    Error,
    debug::{
        answer::{self, Query},
        charts::{MAX_BYTES, POINTS},
        stack::side_name,
    },
    mask::Mask,
    telemetry::metrics::{MethodFigures, ProcessFigures},
};

/// All figures of now, as Go's `expvar` has them.
pub(super) fn answer(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    Query::read(&parts.uri, &["format"])?;
    let process = ProcessFigures::read();
    let methods = shared.metrics.as_ref().map(|metrics| metrics.methods()).unwrap_or_default();
    let history = shared.history.as_ref().map(|history| {
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "points": POINTS, "step_seconds": 1, "max_bytes": MAX_BYTES, "methods_left_out": history.left_out() })
    });
    let gauges: Map<String, Value> = shared
        .gauges
        .iter()
        .map(|gauges| {
            let values: Map<String, Value> =
                gauges.values().map(|(name, value)| (name.to_owned(), value.into())).collect();
            (gauges.title.clone().into_owned(), Value::Object(values))
        })
        .collect();
    Ok(answer::json(&json!({
        "service": shared.name,
        "version": shared.version,
        "kit_version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "cmdline": Mask::default().arguments(std::env::args_os()),
        "start_time_seconds": shared.started_at.as_secs_f64(),
        "uptime_seconds": shared.uptime().as_secs_f64(),
        "memory": { "resident_bytes": process.resident_memory, "virtual_bytes": process.virtual_memory },
        "cpu_seconds": process.cpu.map(|time| time.as_secs_f64()),
        "threads": process.threads,
        "open_fds": process.open_fds,
        "max_fds": process.max_fds,
        "runtime": tasks::runtime(shared),
        "tasks": tasks::tasks(shared),
        "gauges": gauges,
        "methods": methods.iter().map(method).collect::<Vec<_>>(),
        "charts": history,
    })))
}

fn method(figures: &MethodFigures) -> Value {
    let seconds = |share| figures.durations.quantile(share);
    json!({
        "side": side_name(figures.side),
        "service": figures.service,
        "method": figures.method,
        "calls": figures.calls,
        "errors": figures.errors,
        "in_flight": figures.in_flight,
        "seconds": { "p50": seconds(0.5), "p90": seconds(0.9), "p99": seconds(0.99) },
    })
}
