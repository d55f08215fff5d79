use serde::{Deserialize, Serialize};

use super::{ErrorReporter, ErrorReports, LogReporter};
use crate::{
    Error, size,
    validate::{Validate, Violations},
};

/// Ten a minute of one method: enough to see that errors differ; a storm of the same one is seen in the metrics.
const PER_MINUTE: u32 = 10;

/// Some seconds of a reporter that hangs, for all methods.
const QUEUE: usize = 64;

/// 16 KiB: what a person reads; a queue of such requests is a megabyte.
const MAX_BODY: u64 = 16 << 10;

/// The settings of error reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Whether reports are written to the log, beside the line that every failed call has there anyway. Default: false.
    pub log: bool,
    /// Reports to Sentry. Default: none.
    #[cfg(feature = "sentry")]
    pub sentry: super::sentry::SentryConfig,
    /// How many errors of one method are reported in a minute; the others are counted. Default: 10.
    pub per_minute: u32,
    /// How many reports wait for the reporter; the others are dropped and counted. Default: 64.
    pub queue: usize,
    /// How long a request may be, as it is encoded in gRPC, to be kept and shown. Default: 16 KiB.
    #[serde(with = "size")]
    pub max_body: u64,
    /// Names of headers, fields and parameters that are secret beside the usual ones, as
    /// [`Mask::with_names`](crate::mask::Mask::with_names) takes them. Default: none.
    pub mask: Vec<String>,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            log: false,
            #[cfg(feature = "sentry")]
            sentry: super::sentry::SentryConfig::default(),
            per_minute: PER_MINUTE,
            queue: QUEUE,
            max_body: MAX_BODY,
            mask: Vec::new(),
        }
    }
}

impl ReportConfig {
    /// Starts the reporters that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the settings can't be used, `RESOURCE_EXHAUSTED` when there can be no more threads.
    pub fn start(&self) -> Result<Option<ErrorReports>, Error> {
        let mut reporters: Vec<Box<dyn ErrorReporter>> = Vec::new();
        if self.log {
            reporters.push(Box::new(LogReporter));
        }
        #[cfg(feature = "sentry")]
        if !self.sentry.dsn.is_empty() {
            reporters.push(Box::new(super::sentry::SentryReporter::new(&self.sentry)?));
        }
        if reporters.is_empty() { Ok(None) } else { ErrorReports::start(self, reporters).map(Some) }
    }
}

impl Validate for ReportConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.per_minute > 0, "per_minute", "is 0: nothing would be reported");
        // Each may hold a request.
        report.require((1..=10_000).contains(&self.queue), "queue", "must be from 1 to 10000");
        #[cfg(feature = "sentry")]
        report.section("sentry", &self.sentry);
    }
}
