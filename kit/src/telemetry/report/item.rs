//! A report in the making: what is taken along from the call, and what is made of it on the thread of the reporter.

use std::{backtrace::Backtrace, sync::Arc, time::SystemTime};

use serde_json::{Value, json};

use super::{ErrorReport, stack};
use crate::{
    Code, Context, Error, Metadata,
    endpoint::current::{self, Ids},
    mask::Mask,
};

/// Makes the JSON of a message that it holds, unless that is longer than the limit.
pub(crate) type Json = Box<dyn FnOnce(usize) -> Option<Value> + Send>;

/// A call that failed, with all that a report is made of.
pub(crate) struct Failure {
    time: SystemTime,
    ids: Ids,
    context: Context,
    code: Code,
    message: String,
    log: Option<String>,
    causes: Vec<String>,
    panic: bool,
    stack: Option<Arc<Backtrace>>,
    response: Value,
    request: Option<Json>,
    received: Option<u64>,
    sent: Option<u64>,
}

impl Failure {
    /// To be called inside the call, whose ids it takes.
    pub(crate) fn new(context: Context, error: &Error) -> Self {
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            time: SystemTime::now(),
            ids: current::get().unwrap_or_else(|| Ids::from(&context)),
            context,
            code: error.code(),
            message: error.message().to_owned(),
            log: error.log().map(str::to_owned),
            causes,
            panic: error.is_panic(),
            stack: error.shared_stack(),
            response: answer(error),
            request: None,
            received: None,
            sent: None,
        }
    }

    pub(crate) fn with_request(mut self, request: Option<Json>, received: Option<u64>) -> Self {
        (self.request, self.received) = (request, received);
        self
    }

    pub(crate) fn with_sent(mut self, sent: Option<u64>) -> Self {
        self.sent = sent;
        self
    }

    /// The report, without secrets.
    pub(super) fn report(self, mask: &Mask, limit: usize) -> ErrorReport {
        let shown = |text: String| mask.text(&text).into_owned();
        let json = |mut value: Value| {
            mask.json(&mut value);
            value
        };
        let method = self.context.method().map(String::from).unwrap_or_default();
        ErrorReport {
            time: self.time,
            method,
            transport: self.context.transport(),
            peer: self.context.peer().and_then(|peer| peer.address).map(|address| address.to_string()),
            request_id: self.ids.request_id.clone(),
            trace_id: trace_id(&self.ids, self.context.metadata()),
            code: self.code,
            message: shown(self.message),
            log: self.log.map(shown),
            causes: self.causes.into_iter().map(shown).collect(),
            panic: self.panic,
            stack: self.stack.map(|stack| stack::frames(&stack)).unwrap_or_default(),
            metadata: mask.metadata(self.context.metadata()),
            request: self.request.and_then(|request| request(limit)).map(json),
            received: self.received,
            response: json(self.response),
            sent: self.sent,
            ids: self.ids,
        }
    }
}

/// The error as the caller gets it. Details are named only: they are packed, and of any type.
fn answer(error: &Error) -> Value {
    let mut answer = json!({ "code": error.code() as i32, "status": error.code().name(), "message": error.message() });
    if let Some(reason) = error.reason() {
        answer["reason"] = json!({ "reason": reason.reason, "domain": reason.domain, "metadata": reason.metadata });
    }
    if !error.field_violations().is_empty() {
        let violations = error.field_violations().iter();
        answer["fieldViolations"] =
            violations.map(|v| json!({ "field": v.field, "description": v.description })).collect();
    }
    if !error.details().is_empty() {
        answer["details"] = error.details().iter().map(|detail| Value::from(detail.type_url.as_str())).collect();
    }
    answer
}

/// The trace that the call is part of: ours, or without a tracer the one that our caller names.
fn trace_id(ids: &Ids, metadata: &Metadata) -> Option<String> {
    #[cfg(feature = "trace")]
    if let Some(span) = &ids.span {
        return Some(span.trace_id().to_string());
    }
    let _ = ids;
    let parent = metadata.get("traceparent").and_then(|value| value.split('-').nth(1));
    let single = metadata.get("b3").and_then(|value| value.split('-').next());
    let ids = [parent, single, metadata.get("x-b3-traceid")];
    let well_formed = |id: &&str| matches!(id.len(), 16 | 32) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    ids.into_iter().flatten().find(well_formed).map(str::to_owned)
}
