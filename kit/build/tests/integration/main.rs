//! Tests of kit-build from outside: what it writes, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod errors;
mod files;
mod golden;
mod kit_protos;
