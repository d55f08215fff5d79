//! The details service: its rules on doubles, its store on every database, the whole over real sockets, and the program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod cache;
mod failures;
mod fake;
mod limits;
mod outage;
mod process;
mod service;
mod store;
mod wire;
