//! A report as an event of Sentry.

use std::collections::BTreeMap;

use sentry::protocol::{Context, Event, Exception, Frame, Level, Mechanism, Request, SpanId, Stacktrace, TraceContext};
use serde_json::{Value, json};

use super::super::{ErrorReport, Frame as OurFrame};

/// What is not the user's own code, by the beginning of its name.
const FOREIGN: [&str; 12] = [
    "std::",
    "core::",
    "alloc::",
    "tokio::",
    "tower::",
    "hyper::",
    "hyper_util::",
    "axum::",
    "tonic::",
    "h2::",
    "futures",
    "kit::",
];

pub(super) fn of(report: ErrorReport) -> Event<'static> {
    let mut tags = BTreeMap::from([
        ("code".to_owned(), report.code.name().to_owned()),
        ("transport".to_owned(), report.transport.name().to_owned()),
        ("request_id".to_owned(), report.request_id.to_string()),
    ]);
    let mut contexts = BTreeMap::new();
    if let Some(id) = &report.trace_id {
        tags.insert("trace_id".to_owned(), id.clone());
        // 64-bit ids are what 128-bit ones end with.
        if let Ok(trace_id) = format!("{id:0>32}").parse() {
            let trace = TraceContext { trace_id, span_id: SpanId::default(), ..TraceContext::default() };
            contexts.insert("trace".to_owned(), trace.into());
        }
    }
    let mut call = BTreeMap::from([("response".to_owned(), report.response.clone())]);
    for (name, value) in [
        ("log", report.log.clone().map(Value::from)),
        ("peer", report.peer.clone().map(Value::from)),
        ("received", report.received.map(Value::from)),
        ("sent", report.sent.map(Value::from)),
    ] {
        call.extend(value.map(|value| (name.to_owned(), value)));
    }
    contexts.insert("call".to_owned(), Context::Other(call));
    let request = Request {
        method: Some("POST".to_owned()),
        data: report.request.as_ref().map(Value::to_string),
        headers: report.metadata.iter().cloned().collect(),
        env: BTreeMap::from([("RPC_METHOD".to_owned(), report.method.clone())]),
        ..Request::default()
    };
    Event {
        level: Level::Error,
        timestamp: report.time,
        platform: "rust".into(),
        logger: Some("kit".to_owned()),
        transaction: Some(report.method.clone()),
        request: Some(request),
        tags,
        contexts,
        exception: exceptions(report).into(),
        ..Event::default()
    }
}

/// The causes, the deepest first, and at the end the error itself with the stack.
fn exceptions(report: ErrorReport) -> Vec<Exception> {
    let cause = |text: String| Exception { ty: "cause".to_owned(), value: Some(text), ..Exception::default() };
    let mut exceptions: Vec<_> = report.causes.into_iter().rev().map(cause).collect();
    let value = report.log.map_or_else(|| report.message.clone(), |log| format!("{} ({log})", report.message));
    let frames: Vec<_> = report.stack.into_iter().rev().map(frame).collect();
    exceptions.push(Exception {
        ty: if report.panic { "panic".to_owned() } else { report.code.name().to_owned() },
        value: Some(value),
        stacktrace: (!frames.is_empty()).then(|| Stacktrace { frames, ..Stacktrace::default() }),
        mechanism: Some(Mechanism {
            ty: "kit".to_owned(),
            handled: Some(!report.panic),
            data: BTreeMap::from([("answer".to_owned(), json!(report.code.name()))]),
            ..Mechanism::default()
        }),
        ..Exception::default()
    });
    exceptions
}

fn frame(frame: OurFrame) -> Frame {
    let name = frame.function.trim_start_matches('<');
    Frame {
        in_app: Some(!FOREIGN.iter().any(|foreign| name.starts_with(foreign))),
        filename: frame.file.clone(),
        abs_path: frame.file,
        lineno: frame.line,
        function: Some(frame.function),
        ..Frame::default()
    }
}
