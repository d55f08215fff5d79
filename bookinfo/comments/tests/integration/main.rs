//! The comments service: its store against every database that it supports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod failures;
mod order;
mod store;
