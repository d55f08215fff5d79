//! What the standard chain is for, shown in virtual time: for each way in which services fail together, how many calls are answered
//! with it and without it.
//!
//! Clients and servers are endpoints in one process, on a clock that jumps from timer to timer, and all chance is from a seed: a run is
//! the same each time, and minutes take seconds. "Without" is what people write: timeouts, loops that try again, queues without end.
//! Each test asserts, and compares a plot with the one in `docs/resilience/simulation/`. What is not real: messages take no time on
//! the way, and to refuse a call costs nothing; what that costs is measured in `benches/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::print_stdout, reason = "the figures of a run, for whoever asks with --nocapture")]

mod adaptive_limit;
mod all_replicas_slow;
mod breaker_flapping;
mod metastable;
mod one_replica;
mod retry_storm;
mod support;
mod thundering_herd;
