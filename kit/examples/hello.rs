//! A whole service: `cargo run -p kit --example hello`, then `curl localhost:8080/v1/hello/world`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use kit::{Context, Error, middleware::StandardStack, server::Server};

/// In a crate of your own this is `kit::include_protos!();` and a `build.rs` with `kit_build::compile(..)`.
mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterEndpoints, HelloReply, HelloRequest};

struct Polite;

impl Greeter for Polite {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        if request.name.is_empty() {
            return Err(Error::invalid_argument("say whom to greet").with_field_violation("name", "is empty"));
        }
        Ok(HelloReply { text: format!("Hello, {}!", request.name) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    kit::telemetry::log::LogConfig::default().init()?;
    let endpoints = GreeterEndpoints::new(Polite).with(&StandardStack::default());
    let server = Server::new().http("127.0.0.1:8080").grpc("127.0.0.1:50051").service(&endpoints).bind().await?;
    server.run(kit::server::shutdown_signal()).await?;
    Ok(())
}
