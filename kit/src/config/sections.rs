//! The kit's own settings, checked before anything starts.

use super::{Validate, Violations};

fn add(report: &mut Violations, checked: Result<(), (&'static str, String)>) {
    if let Err((key, message)) = checked {
        report.add(key, message);
    }
}

#[cfg(feature = "server")]
impl Validate for crate::server::ServerConfig {
    fn validate(&self, report: &mut Violations) {
        add(report, self.check());
    }
}

#[cfg(feature = "http")]
impl Validate for crate::transport::http::HttpConfig {
    fn validate(&self, report: &mut Violations) {
        add(report, self.check());
    }
}

#[cfg(feature = "grpc")]
impl Validate for crate::transport::grpc::GrpcConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.max_request_size > 0, "max_request_size", "is 0: no message fits");
        report.require(self.max_response_size != Some(0), "max_response_size", "is 0: no message fits");
    }
}

#[cfg(feature = "log")]
impl Validate for crate::telemetry::log::LogConfig {
    fn validate(&self, report: &mut Violations) {
        add(report, self.check());
    }
}
