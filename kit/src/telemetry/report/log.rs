use super::{ErrorReport, ErrorReporter};
use crate::endpoint::current;

/// Writes reports to the log: one event with all there is, as part of the call that failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogReporter;

impl ErrorReporter for LogReporter {
    fn report(&self, report: ErrorReport) {
        let metadata: serde_json::Map<String, serde_json::Value> =
            report.metadata.into_iter().map(|(name, value)| (name, value.into())).collect();
        let stack: Vec<String> = report.stack.iter().map(ToString::to_string).collect();
        current::enter(report.ids, || {
            tracing::error!(
                target: "kit::report",
                code = report.code.name(),
                panic = report.panic,
                error = report.message,
                log = report.log,
                causes = report.causes.join(": "),
                stack = stack.join("\n"),
                headers = %serde_json::Value::Object(metadata),
                request = report.request.map(tracing::field::display),
                response = %report.response,
                received = report.received,
                sent = report.sent,
                peer = report.peer,
                "a call failed"
            );
        });
    }
}
