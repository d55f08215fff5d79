//! HTTP/JSON by the rules of `google.api.http`: a path, a query and a body become the same message that gRPC carries.
//!
//! What the standard leaves open is decided in `docs/transcoding.md`. Any HTTP client fits; errors are `google.rpc.Status`
//! as JSON with the usual HTTP status.
//!
//! [`Server`](crate::server::Server) does all of this; alone it is a Tower service:
//!
//! ```
//! # use kit::Endpoints;
//! # fn example(greeter: &impl Endpoints) -> Result<(), kit::Error> {
//! use kit::transport::http::{HttpConfig, HttpTransport};
//!
//! let config = HttpConfig { max_request_size: 64 * 1024, ..HttpConfig::default() };
//! let service = HttpTransport::new(config).service(greeter).build()?;
//! // An axum application may have it as its fallback.
//! let app: axum::Router = axum::Router::new().fallback_service(service);
//! # let _ = app;
//! # Ok(()) }
//! ```

mod accept;
mod answer;
mod arrive;
mod bind;
pub(crate) mod bodies;
mod body;
pub(crate) mod client;
mod compress;
mod cors;
mod docs;
mod route;
mod service;
mod stream;

use std::time::Duration;

pub use client::HttpChannel;
pub use cors::CorsConfig;
#[cfg(feature = "server")]
pub(crate) use cors::around as around_cors;
use serde::{Deserialize, Serialize};
#[cfg(feature = "server")]
pub(crate) use service::Answering;
pub use service::{HttpFuture, HttpService, HttpTransport};

use super::MAX_MESSAGE_SIZE;
use crate::{
    json::UnknownFields,
    validate::{Validate, Violations},
};

/// The body of requests and answers.
pub type Body = axum::body::Body;

/// The settings of the HTTP/JSON transport.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// The largest request body in bytes, after decompression; of a stream, the largest message. Default: 4 MiB, as gRPC.
    pub max_request_size: usize,
    /// How long the body of a request that is no stream may take to arrive. Default: 30 s, so that slow senders can't hold
    /// calls: 4 MiB come in that time at 1.2 Mbit/s.
    #[serde(with = "crate::duration")]
    pub body_timeout: Duration,
    /// The most query parameters of a request. Default: 1000, as PHP and Django have it.
    pub max_query_parameters: usize,
    /// Whether unknown query parameters are refused with 400 and their name. Default: true, a misspelt filter is worse than
    /// an error.
    pub reject_unknown_query_parameters: bool,
    /// Whether unknown fields of a JSON body are refused. Default: false, so that clients and servers can be upgraded in any
    /// order.
    pub reject_unknown_json_fields: bool,
    /// Whether fields at their default are left out of answers. Default: false.
    pub omit_defaults: bool,
    /// Whether gzip is taken in requests and used in answers. Default: true.
    pub compression: bool,
    /// Whether `/openapi.json` and the page `/docs/` are served. Default: true.
    pub docs: bool,
    /// Who may call from a browser's page of another origin. Default: nobody.
    pub cors: CorsConfig,
}

/// How often an idle event stream sends a comment, so that proxies do not take it for dead: under nginx's 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            max_request_size: MAX_MESSAGE_SIZE,
            body_timeout: Duration::from_secs(30),
            max_query_parameters: 1000,
            reject_unknown_query_parameters: true,
            reject_unknown_json_fields: false,
            omit_defaults: false,
            compression: true,
            docs: true,
            cors: CorsConfig::default(),
        }
    }
}

impl Validate for HttpConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.max_request_size > 0, "max_request_size", "is 0: no body fits");
        report.require(!self.body_timeout.is_zero(), "body_timeout", "is 0, in which no body can arrive");
        if let Err(error) = self.cors.layer() {
            report.add("cors", error.message());
        }
    }
}

impl HttpConfig {
    fn json(&self, registry: &crate::json::Registry) -> crate::json::Options {
        crate::json::Options {
            registry: registry.clone(),
            unknown_fields: if self.reject_unknown_json_fields { UnknownFields::Reject } else { UnknownFields::Ignore },
            omit_defaults: self.omit_defaults,
            ..crate::json::Options::default()
        }
    }
}
