//! Errors of a service, told to somebody: to the log, to Sentry, to a reporter of your own.
//!
//! A reporter gets an [`ErrorReport`]: the stack, the chain of causes, the ids of the call, the request and the answer as JSON,
//! with secrets masked. It works on a thread of its own behind a bounded queue, so one that is slow or hangs never slows a
//! call. [`ReportLayer`](crate::layer::report::ReportLayer) finds the errors.
//!
//! ```
//! use kit::telemetry::report::{ErrorReport, ErrorReporter, ErrorReports, ReportConfig};
//!
//! struct Pager;
//!
//! impl ErrorReporter for Pager {
//!     fn report(&self, report: ErrorReport) {
//!         println!("{} failed: {}", report.method, report.message);
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let reports = ErrorReports::start(&ReportConfig::default(), Pager)?;
//! // layer::report::ReportLayer::new(reports.clone()) stands around the endpoints.
//! assert!(reports.close().await);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod item;
mod log;
mod queue;
#[cfg(feature = "sentry")]
pub mod sentry;
mod stack;

use std::{sync::Arc, time::SystemTime};

use serde_json::Value;

pub use config::ReportConfig;
pub use log::LogReporter;
pub use queue::{ErrorReports, ReportFigures};
pub use stack::Frame;

pub(crate) use item::{Failure, Json};

use crate::{Code, RequestId, Transport, endpoint::current::Ids};

/// Tells somebody of an error.
pub trait ErrorReporter: Send + Sync + 'static {
    /// Tells it. Called on a thread of the reports' own, one report after the other, so it may wait; while it does, what does
    /// not fit into the queue is dropped and counted. A panic costs the report only.
    fn report(&self, report: ErrorReport);
}

impl<R: ErrorReporter + ?Sized> ErrorReporter for Arc<R> {
    fn report(&self, report: ErrorReport) {
        (**self).report(report);
    }
}

/// Tells each of them.
impl ErrorReporter for Vec<Box<dyn ErrorReporter>> {
    fn report(&self, report: ErrorReport) {
        for reporter in self {
            reporter.report(report.clone());
        }
    }
}

/// A call that failed by our fault. Secrets are masked in all of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ErrorReport {
    /// When.
    pub time: SystemTime,
    /// The method, `details.BookDetails/Detail`; empty for a call without one.
    pub method: String,
    /// The door that the call came through.
    pub transport: Transport,
    /// The address of the caller.
    pub peer: Option<String>,
    /// The id of the request.
    pub request_id: RequestId,
    /// The id of the trace, if the call is part of one.
    pub trace_id: Option<String>,
    /// The code that the caller got.
    pub code: Code,
    /// The message that the caller got.
    pub message: String,
    /// What was noted for the log.
    pub log: Option<String>,
    /// The causes, the nearest first.
    pub causes: Vec<String>,
    /// Whether it was a panic.
    pub panic: bool,
    /// Where the error was made, the innermost frame first. Empty for the faults of an upstream and of foreign layers that
    /// became errors outside of the call.
    pub stack: Vec<Frame>,
    /// What was sent beside the request.
    pub metadata: Vec<(String, String)>,
    /// The request as JSON; of a stream the last message that was read; a text that says why it is not shown when it is large.
    pub request: Option<Value>,
    /// How many messages of the caller's stream were read.
    pub received: Option<u64>,
    /// The answer: the error as the caller got it.
    pub response: Value,
    /// How many messages of our stream were sent before.
    pub sent: Option<u64>,
    pub(crate) ids: Ids,
}
