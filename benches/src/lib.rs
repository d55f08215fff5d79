//! What the benchmarks share: [`measure`] compares, [`added`] subtracts, [`allocations`] counts, [`shelf`] is the service in the kit's way and
//! [`peer`] the same by hand. [`sockets`] measures servers in processes of their own, [`servers`] is what runs in them, and [`results`]
//! keeps figures and bars. The figures and how to read them are in the crate's `README.md`.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

pub mod added;
pub mod allocations;
#[cfg(target_os = "linux")]
pub mod bookinfo;
pub mod chain;
pub mod client;
pub mod http1;
#[cfg(target_os = "linux")]
pub mod idle;
pub mod measure;
pub mod peer;
pub mod placement;
pub mod report;
pub mod results;
pub mod scenarios;
pub mod serve;
pub mod servers;
pub mod shelf;
pub mod sockets;

/// What `kit-build` makes of `proto/bench.proto`.
pub mod proto {
    kit::include_protos!();
}

/// What a benchmark stops with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The value of a call that has to succeed: a figure of calls that fail would be worth nothing.
///
/// # Panics
/// When it failed.
pub fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("a measured call failed: {error}"),
    }
}

/// A runtime for one thread: the client's side of a benchmark.
///
/// # Errors
/// When the system has no more descriptors.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
