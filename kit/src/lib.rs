//! One `.proto` file and one plain `impl` become a production service: gRPC, HTTP/JSON, a typed client and a command line,
//! all through one chain of middleware per method.
//!
//! Start with the README and `examples/hello.rs`. The way of a call:
//!
//! ```text
//! gRPC ----\
//! HTTP/JSON-+-> Endpoint<Req, Res> = [ middleware ... ] -> impl YourService
//! in-process/
//! ```
//!
//! | concept | module |
//! |---|---|
//! | what a call fails with | [`error`] |
//! | one method, its context and messages | [`endpoint`] |
//! | what stands around methods | [`middleware`], [`layer`] |
//! | canonical protobuf JSON | [`json`], [`message`] |
//! | the doors: gRPC and HTTP/JSON | `transport` (features `grpc`, `http`) |
//! | calling other services | `client` |
//! | ports, connections, health, stop | `server` (feature `server`) |
//! | log lines with the ids of their call | [`telemetry`] (feature `log`) |
//! | the command line of a service | `cli` (feature `cli`) |
//! | settings from a file and the environment | `config` (feature `config`) |
//! | one database by its URL | `sql` (feature `sql`) |
//!
//! Default features: `grpc`, `http`, `server`, `log`. Others: `tls`, `reflection`, `cli`, `config`, `sql`.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(any(feature = "grpc", feature = "http"))]
pub mod client;
#[doc(hidden)]
pub mod codegen;
#[cfg(feature = "config")]
pub mod config;
pub mod duration;
pub mod endpoint;
pub mod error;
pub mod json;
pub mod layer;
pub mod message;
pub mod middleware;
pub mod proto;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "sql")]
pub mod sql;
pub mod telemetry;
#[cfg(any(feature = "grpc", feature = "http"))]
pub mod transport;

#[doc(inline)]
pub use endpoint::{
    Connect, Context, Endpoint, EndpointService, Endpoints, HttpRule, Idempotency, Metadata, Method, MethodInfo,
    MethodKind, Payload, Peer, Request, RequestId, Response, RuleBody, Sender, ServiceInfo, Streaming, Transport,
    VisitEndpoints,
};
#[doc(inline)]
pub use error::{Class, Code, Error, FieldViolation, Reason};
#[doc(inline)]
pub use message::Message;
#[doc(inline)]
pub use middleware::Middleware;
