//! Profiles of this process as tools read them. A binary of its own: heap profiles are those of its allocator.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::disallowed_methods, reason = "a test sends a handful of signals: its channels need no bound")]

mod cpu;
mod flamegraph;
mod heap;
mod pages;
mod rules;
mod tools;
mod work;

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../integration/support.rs"]
mod support;

/// The service of `examples/streaming.rs`.
#[allow(dead_code, reason = "the example has a main")]
#[path = "../../examples/streaming.rs"]
mod chat;

#[global_allocator]
static ALLOCATOR: kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;
