//! Reports the calls that fail by our fault: internal errors, panics, deadlines that we missed, unary and in mid-stream.
//!
//! It stands directly outside of [`recover`](super::recover), so that it sees panics as errors. Inside it, errors of class
//! [`Class::Fault`](crate::Class::Fault) keep the stack of the place where they are made. What it costs a call that does not
//! fail is a copy of its request, if that is not longer than `max_body`; what it costs one that fails is the stack. All else
//! is done on the thread of the reporter. A method that fails too often in a minute is not reported, and costs neither.
//!
//! ```
//! use kit::{Context, Endpoint, Error, Method, MethodInfo, MethodKind};
//! use kit::layer::{recover::RecoverLayer, report::ReportLayer};
//! use kit::telemetry::report::{ErrorReport, ErrorReporter, ErrorReports, ReportConfig};
//! use std::sync::mpsc::{SyncSender, sync_channel};
//!
//! struct Send(SyncSender<ErrorReport>);
//! impl ErrorReporter for Send {
//!     fn report(&self, report: ErrorReport) {
//!         let _ = self.0.send(report);
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let (sender, reported) = sync_channel(8);
//! let reports = ErrorReports::start(&ReportConfig::default(), Send(sender))?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Divide", MethodKind::Unary));
//! let divide = Endpoint::from_fn(method, |_cx: Context, by: i32| async move { Ok(10 / by) })
//!     .layer(RecoverLayer::new())
//!     .layer(ReportLayer::new(reports));
//! divide.call_next(&Context::background(), 0).await.unwrap_err();
//!
//! let report = reported.recv().unwrap();
//! assert!(report.panic && report.log.unwrap().contains("divide by zero"));
//! assert_eq!((report.method.as_str(), report.request), ("demo.Demo/Divide", Some(0.into())));
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod layer;
mod limit;
mod service;

pub use layer::ReportLayer;
pub use service::Report;
pub(crate) use service::{Call, Shared};
