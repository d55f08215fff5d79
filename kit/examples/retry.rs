//! Retries and hedges around a client: what passes is made again, what is slow gets a second request, and both are paid from one
//! budget.
//!
//! `cargo run -p kit --example retry` calls a service inside the process that is busy now and then, stuck now and then, and in the
//! end down.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kit::{
    Context, Error,
    layer::{
        hedge::{Hedge, HedgeConfig},
        retry::{Retry, RetryConfig},
    },
};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterEndpoints, HelloReply, HelloRequest};

#[derive(Clone, Default)]
struct Moody(Arc<AtomicU32>);

impl Greeter for Moody {
    async fn hello(&self, cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match (request.name.as_str(), cx.previous_attempts()) {
            ("busy", 0) => return Err(Error::unavailable("too much to do")),
            ("stuck", 0) => std::future::pending().await,
            ("down", _) => return Err(Error::unavailable("not here")),
            _ => {}
        }
        Ok(HelloReply { text: format!("Hello, {}!", request.name) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let retry = Retry::new(&RetryConfig::default().with_method("Hello"))?;
    let config = HedgeConfig { delay: Some(Duration::from_millis(20)), ..HedgeConfig::default() };
    let hedge = Hedge::new(&config.with_method("Hello"))?.with_budget(retry.budget());

    let service = Moody::default();
    // What is put around later stands outside: a retry is around its hedged first attempt.
    let greeter = GreeterEndpoints::new(service.clone()).with(&hedge).with(&retry);

    for name in ["world", "busy", "stuck"] {
        let reply = greeter.hello(&Context::background(), HelloRequest { name: name.to_owned() }).await?;
        println!("{} after {} requests", reply.text, service.0.swap(0, Ordering::Relaxed));
    }

    let cx = Context::background();
    let calls = (0..1000).map(|_| greeter.hello(&cx, HelloRequest { name: "down".to_owned() }));
    let outcomes = futures_util::future::join_all(calls).await;
    println!("1000 calls of a service that is down are {} requests", service.0.load(Ordering::Relaxed));
    if let Some(Err(error)) = outcomes.last() {
        println!("the last one failed with {}", error.to_log());
    }
    Ok(())
}
