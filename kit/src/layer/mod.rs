//! Tower layers for endpoints: one folder a concern, each with its configuration beside it.

pub mod access_log;
pub mod adaptive;
pub mod auth;
pub mod authorize;
pub mod breaker;
mod change;
pub mod concurrency;
mod degraded;
pub mod fallback;
pub mod fault;
pub mod hedge;
pub(crate) mod methods;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod rate_limit;
pub mod recover;
pub mod report;
#[cfg(feature = "cache")]
pub mod response_cache;
pub mod retry;
mod same;
pub mod single_flight;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod timeout;
#[cfg(feature = "trace")]
pub mod trace;
pub mod track;
pub mod validation;
