//! Calls the service of `hello.rs`, over gRPC and over HTTP/JSON: `cargo run -p kit --example client -- grpc://127.0.0.1:50051`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use kit::{Context, Error, client::Channel};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterClient, HelloRequest};

/// Written against the trait: a client, the service itself and a test double all fit.
async fn greet(greeter: &impl Greeter, name: &str) -> Result<String, Error> {
    let cx = Context::background().with_timeout(Duration::from_secs(2)).with_outgoing("x-tenant", "blue")?;
    Ok(greeter.hello(&cx, HelloRequest { name: name.to_owned() }).await?.text)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let defaults = ["grpc://127.0.0.1:50051".to_owned(), "http://127.0.0.1:8080".to_owned()];
    for address in if addresses.is_empty() { &defaults[..] } else { &addresses } {
        let client = GreeterClient::new(&Channel::new(address)?);
        println!("{address}: {}", greet(&client, "world").await?);
    }
    Ok(())
}
