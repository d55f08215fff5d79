//! A service that can be looked into: figures, traces, error reports, log, and the debug port with charts and settings.
//!
//! `cargo run -p kit --features instruments,pprof --example observed`, then
//!
//! ```text
//! curl -H 'b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1' localhost:8080/v1/hello/world
//! curl localhost:5004/metrics
//! curl localhost:5003/debug/            # or with a browser: charts, layers, log level, profiles
//! ```
//!
//! Its spans go to Zipkin if one listens on port 9411 of this machine.

use kit::{
    Context, Error,
    instruments::{Instruments, InstrumentsConfig},
    middleware::StandardStack,
    server::{Server, shutdown_signal},
    telemetry::{log::LogConfig, spans},
};

/// In a crate of your own this is `kit::include_protos!();` and a `build.rs` with `kit_build::compile(..)`.
mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterEndpoints, HelloReply, HelloRequest};

/// For heap profiles on the debug port; without this line there are none.
#[cfg(feature = "heap")]
#[global_allocator]
static ALLOCATOR: kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;

struct Polite;

impl Greeter for Polite {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        // Has the ids of the call on its line, and is a note in the trace of the call.
        tracing::info!(name = request.name, "greeting");
        Ok(HelloReply { text: format!("Hello, {}!", request.name) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With the feature `config`, a section `telemetry:` of the service's own settings.
    let config = InstrumentsConfig::default();
    let log = LogConfig::default();
    let log = log.init_with(spans::layer(tracing::Level::INFO, log.secrets()))?;
    let instruments = Instruments::builder("greeter", &config).version(env!("CARGO_PKG_VERSION")).log(&log).start()?;

    let stack = StandardStack::default().watched_by(&instruments.telemetry());
    let endpoints = GreeterEndpoints::new(Polite).with(&stack);
    let server = Server::new().http("127.0.0.1:8080").grpc("127.0.0.1:50051").service(&endpoints);
    let ended = instruments.serve(server).bind().await?.run(shutdown_signal()).await;
    log.close().await;
    Ok(ended?)
}
