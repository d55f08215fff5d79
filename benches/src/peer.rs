//! The same service, written by hand without the kit.

pub mod axum;
pub mod json;
pub mod tonic;

/// The messages with pbjson's serde traits.
pub mod pbjson {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/pbjson/bench.rs"));
    include!(concat!(env!("OUT_DIR"), "/pbjson/bench.serde.rs"));
}
