//! Both services together: in one process, on one database of each kind, and as the program of the quick start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod process;
mod together;
