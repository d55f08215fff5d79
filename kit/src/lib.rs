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
//! | what requests must be, by rules in the `.proto` file | [`message::rules`], [`layer::validation`] |
//! | the doors: gRPC and HTTP/JSON | `transport` (features `grpc`, `http`) |
//! | calling other services | `client` |
//! | ports, connections, health, stop | `server` (feature `server`) |
//! | background tasks that a stop waits for | [`task`] |
//! | log lines with the ids of their call, error reports | [`telemetry`] (features `log`, `sentry`) |
//! | figures for Prometheus | `telemetry::metrics` (feature `metrics`) |
//! | what hides secrets in what is printed | [`mask`] |
//! | where the time of a call went | `trace` (feature `trace`), sent by `telemetry::reporter` (features `zipkin`, `otlp`) |
//! | what is to be seen of a running process | `debug` (features `debug`, `pprof`, `heap`) |
//! | all of these for a service, in two lines | `instruments` (feature `instruments`) |
//! | the command line of a service | `cli` (feature `cli`) |
//! | settings from a file and the environment | `config` (feature `config`) |
//! | what settings are checked by | [`validate`] |
//! | one database by its URL | `sql` (feature `sql`) |
//! | answers that are kept for a while, in memory or in Redis | `cache` (features `cache`, `redis`) |
//!
//! Default features: `grpc`, `http`, `server`, `log`, `metrics`, `trace`. The others are named above; and `tls`, `reflection`, `jwt`.

#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(any(feature = "grpc", feature = "http"))]
pub mod client;
#[doc(hidden)]
pub mod codegen;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "debug")]
pub mod debug;
pub mod duration;
pub mod endpoint;
pub mod error;
mod flights;
#[cfg(feature = "instruments")]
pub mod instruments;
pub mod json;
pub mod layer;
pub mod mask;
pub mod message;
pub mod middleware;
pub mod proto;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "server")]
pub mod server;
pub mod size;
#[cfg(feature = "sql")]
pub mod sql;
mod sync;
pub mod task;
pub mod telemetry;
#[cfg(feature = "trace")]
pub mod trace;
#[cfg(any(feature = "grpc", feature = "http"))]
pub mod transport;
mod trust;
pub mod validate;

#[doc(inline)]
pub use endpoint::{
    Connect, Context, Endpoint, EndpointService, Endpoints, HttpRule, Idempotency, LayerInfo, Metadata, Method,
    MethodInfo, MethodKind, Payload, Peer, Request, RequestId, Response, RuleBody, Sender, ServiceInfo, Streaming,
    Transport, VisitEndpoints,
};
#[doc(inline)]
pub use error::{Class, Code, Error, FieldViolation, Reason};
#[doc(inline)]
pub use message::Message;
#[doc(inline)]
pub use middleware::Middleware;
