//! What a running service tells of itself.

#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "metrics")]
mod observe;
mod observed;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(any(feature = "zipkin", feature = "otlp"))]
pub mod reporter;
#[cfg(all(feature = "trace", feature = "log"))]
pub mod spans;
#[cfg(feature = "zipkin")]
pub mod zipkin;

pub use observed::Telemetry;
pub mod report;
