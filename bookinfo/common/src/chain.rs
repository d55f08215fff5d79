//! The limits that both services have.

use std::time::Duration;

use kit::{
    Code,
    layer::{breaker::BreakerConfig, rate_limit::RateLimitConfig},
    middleware::ServerStackConfig,
};

/// Ten calls a second, for each method: what the original admits.
const CALLS: u64 = 10;

/// The share of calls that may fail, and how many may run, before the original's breaker refuses more.
const FAILURES: f64 = 0.1;
const IN_FLIGHT: u32 = 10;

/// What the original answers then.
const BUSY: &str = "too many connections";

/// The chain of a service of BookInfo, with the limits of the original: ten calls a second for each method (`rate limit exceeded`),
/// and a breaker that refuses what is above ten calls at once, and opens when more than a tenth of them failed (`too many
/// connections`). Both are `RESOURCE_EXHAUSTED`, over HTTP 429.
#[must_use]
pub fn limited_chain() -> ServerStackConfig {
    ServerStackConfig {
        rate_limit: Some(RateLimitConfig::of(CALLS, Duration::from_secs(1))),
        breaker: Some(BreakerConfig {
            failure_ratio: FAILURES,
            max_in_flight: Some(IN_FLIGHT),
            code: Code::ResourceExhausted,
            message: Some(BUSY.to_owned()),
            ..BreakerConfig::default()
        }),
        ..ServerStackConfig::default()
    }
}
