//! What a running service tells of itself.

#[cfg(feature = "log")]
pub mod log;
