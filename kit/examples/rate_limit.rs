//! A rate limit that tells callers when to come again: `cargo run -p kit --example rate_limit`.
//!
//! Three calls at once are admitted, then one each 200 ms; every caller has a limit of its own, by the header `x-api-key`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use kit::{
    Context, Error,
    layer::rate_limit::{RateLimitConfig, RateLimitKey, RateLimits},
};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterEndpoints, HelloReply, HelloRequest};

struct Polite;

impl Greeter for Polite {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        Ok(HelloReply { text: format!("Hello, {}!", request.name) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = RateLimitConfig::of(5, Duration::from_secs(1))
        .with_burst(3)
        .with_key(RateLimitKey::Header("x-api-key".to_owned()));
    let endpoints = GreeterEndpoints::new(Polite).with(&RateLimits::new(&config)?);

    for (key, calls) in [("red", 5), ("blue", 1)] {
        for _ in 0..calls {
            let mut cx = Context::background();
            cx.metadata_mut().insert("x-api-key", key)?;
            let request = kit::Request::new(cx, HelloRequest { name: key.to_owned() });
            match endpoints.hello.call(request).await {
                Ok(reply) => println!("{}", reply.message().text),
                Err(error) => {
                    let wait = error.retry_delay().unwrap_or_default();
                    println!("{error}; the next slot is free in {} ms", wait.as_millis());
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
    for layer in endpoints.hello.layers() {
        println!("{}: {}", layer.name(), layer.state().unwrap_or_default());
    }
    Ok(())
}
