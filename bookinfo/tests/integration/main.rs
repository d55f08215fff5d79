//! Both services together: in one process, on one database of each kind, and as the program of the quick start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod cache;
mod charts;
mod drain;
mod figures;
mod inside;
mod process;
mod support;
mod together;
mod trace;

// What the tests of kit have for themselves, without a copy.
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../kit/tests/integration/chromium.rs"]
mod chromium;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../kit/tests/integration/trace/collector.rs"]
mod collector;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../kit/tests/integration/prometheus.rs"]
mod prometheus;
#[path = "../../../kit/tests/integration/trace/schema.rs"]
mod schema;
