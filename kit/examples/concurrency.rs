//! A limit to how many calls run at once, and who waits, and who has to go.
//!
//! `cargo run -p kit --example concurrency` makes calls inside the process and prints what became of them.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use kit::{
    Context, Error,
    layer::concurrency::{Concurrency, ConcurrencyConfig, Priority},
};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterEndpoints, HelloReply, HelloRequest};

/// Takes a while to answer.
#[derive(Clone)]
struct Thoughtful;

impl Greeter for Thoughtful {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(HelloReply { text: format!("Hello, {}!", request.name) })
    }
}

async fn call(endpoints: &GreeterEndpoints, name: &str, priority: Priority) {
    let mut cx = Context::background();
    cx.set_extension(priority);
    let request = kit::Request::new(cx, HelloRequest { name: name.to_owned() });
    match endpoints.hello.call(request).await {
        Ok(reply) => println!("{}", reply.message().text),
        Err(error) => println!("{name}: {}", error.to_log()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // One runs, one waits. The important one takes the place of the one that waits.
    let limit = Concurrency::new(&ConcurrencyConfig { max: 1, queue: 1, ..ConcurrencyConfig::default() })?;
    let endpoints = GreeterEndpoints::new(Thoughtful).with(&limit);
    tokio::join!(
        call(&endpoints, "first", Priority::Normal),
        call(&endpoints, "second", Priority::Normal),
        call(&endpoints, "third", Priority::Normal),
        call(&endpoints, "important", Priority::Critical),
    );
    println!("{:?}", limit.figures());
    Ok(())
}
