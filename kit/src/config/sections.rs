//! The kit's own settings, checked before anything starts.

use super::{Validate, Violations};

/// Settings that check themselves.
macro_rules! sections {
    ($($(#[$feature:meta])? $section:ty;)*) => {
        $($(#[$feature])?
        impl Validate for $section {
            fn validate(&self, report: &mut Violations) {
                if let Err((key, message)) = self.check() {
                    report.add(key, message);
                }
            }
        })*
    };
}

sections! {
    #[cfg(feature = "server")] crate::server::ServerConfig;
    #[cfg(feature = "http")] crate::transport::http::HttpConfig;
    #[cfg(feature = "log")] crate::telemetry::log::LogConfig;
    #[cfg(feature = "metrics")] crate::telemetry::metrics::MetricsConfig;
    #[cfg(any(feature = "zipkin", feature = "otlp"))] crate::telemetry::reporter::ReporterConfig;
    #[cfg(feature = "debug")] crate::debug::DebugConfig;
    #[cfg(feature = "cache")] crate::cache::CacheConfig;
    crate::task::TasksConfig;
    crate::telemetry::report::ReportConfig;
}

#[cfg(feature = "trace")]
impl Validate for crate::trace::TraceConfig {
    // Its types let nothing wrong in.
    fn validate(&self, _: &mut Violations) {}
}

#[cfg(feature = "grpc")]
impl Validate for crate::transport::grpc::GrpcConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.max_request_size > 0, "max_request_size", "is 0: no message fits");
        report.require(self.max_response_size != Some(0), "max_response_size", "is 0: no message fits");
    }
}

#[cfg(feature = "instruments")]
impl Validate for crate::instruments::InstrumentsConfig {
    fn validate(&self, report: &mut Violations) {
        report.section("metrics", &self.metrics);
        report.section("trace", &self.trace);
        report.section("spans", &self.spans);
        report.section("reports", &self.reports);
        report.section("debug", &self.debug);
    }
}
