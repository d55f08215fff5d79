//! What holds over real sockets: one binary, because linking is most of the time of a test build.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::disallowed_methods, reason = "a test sends a handful of signals: its channels need no bound")]

mod answers;
mod auth;
mod bad_input;
mod breaker;
mod cache;
mod calls;
mod chromium;
mod concurrency;
mod conformance;
mod debug;
mod debug_charts;
mod debug_port;
mod debug_stack;
mod fault;
mod fuzz;
mod grpc;
mod health;
mod http;
mod instruments;
mod lifecycle;
mod log;
mod metrics;
mod middleware;
mod prometheus;
mod rate_limit;
mod report;
mod retry;
mod runtime;
mod stop;
mod support;
mod task;
mod tls;
mod trace;
mod validation;

#[allow(dead_code, reason = "the example has a main")]
#[path = "../../examples/echo.rs"]
mod echo;

/// The service of `examples/streaming.rs`.
#[allow(dead_code, reason = "the example has a main")]
#[path = "../../examples/streaming.rs"]
mod chat;

/// The service of `tests/proto/extra.proto`.
#[path = "../generated/extra/protos.rs"]
mod extra;

/// Makes the tokens of callers, as the tests of the layer do.
#[path = "../../src/layer/auth/jwt/minter.rs"]
mod minter;
/// The messages of `tests/proto/validated.proto`.
#[path = "../generated/validated/protos.rs"]
mod validated;
