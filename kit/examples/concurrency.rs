//! A limit to how many calls run at once, and one that finds itself.
//!
//! `cargo run -p kit --example concurrency` makes calls inside the process and prints what became of them.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use kit::{
    Context, Error, Middleware,
    layer::{
        adaptive::{Adaptive, AdaptiveConfig},
        concurrency::{Concurrency, ConcurrencyConfig, Priority},
    },
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

fn around(middleware: &impl Middleware) -> GreeterEndpoints {
    GreeterEndpoints::new(Thoughtful).with(middleware)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // One runs, one waits. The important one takes the place of the one that waits.
    let limit = Concurrency::new(&ConcurrencyConfig { max: 1, queue: 1, ..ConcurrencyConfig::default() })?;
    let endpoints = around(&limit);
    tokio::join!(
        call(&endpoints, "first", Priority::Normal),
        call(&endpoints, "second", Priority::Normal),
        call(&endpoints, "third", Priority::Normal),
        call(&endpoints, "important", Priority::Critical),
    );
    println!("{:?}", limit.figures());

    // Nothing is slow and nothing fails, so the limit rises while it is used.
    let limit =
        Adaptive::new(&AdaptiveConfig { initial: 5, window: Duration::from_millis(10), ..AdaptiveConfig::default() })?;
    let endpoints = around(&limit);
    for _ in 0..10 {
        let calls = (0..5).map(|_| endpoints.hello(&Context::background(), HelloRequest::default()));
        let _answers = futures_util::future::join_all(calls).await;
    }
    println!("the limit was 5 and is {}", limit.figures().limit);
    Ok(())
}
