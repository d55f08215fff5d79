//! Tower layers for endpoints: one folder a concern, each with its configuration beside it.

pub mod access_log;
pub mod adaptive;
pub mod concurrency;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod recover;
pub mod report;
pub mod timeout;
#[cfg(feature = "trace")]
pub mod trace;
pub mod track;
