//! Middleware of your own, of all three kinds: around every method, a plain Tower layer around one, and around the trait.
//!
//! `cargo run -p kit --example middleware` makes a few calls inside the process and prints what the middlewares saw.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kit::{Context, Endpoint, Error, LayerInfo, Middleware, Payload, Request};
use serde_json::Value;
use tower::{ServiceExt as _, timeout::TimeoutLayer};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{GREETER_HELLO, Greeter, GreeterEndpoints, HelloReply, HelloRequest};

struct Polite;

impl Greeter for Polite {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        Ok(HelloReply { text: format!("Hello, {}!", request.name) })
    }
}

/// Around endpoints: counts the calls of every method it is put around, whatever the messages are.
#[derive(Clone, Default)]
struct CountCalls(Arc<AtomicU64>);

impl Middleware for CountCalls {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let (calls, shown) = (Arc::clone(&self.0), Arc::clone(&self.0));
        // What the debug port shows of this layer.
        let info = LayerInfo::new("count_calls", Value::Null).with_state(move || shown.load(Ordering::Relaxed).into());
        endpoint.wrap([info], |inner| {
            inner.map_request(move |request: Request<Req>| {
                calls.fetch_add(1, Ordering::Relaxed);
                request
            })
        })
    }
}

/// Around the trait: knows the messages, so it can look into them.
struct NoStrangers<S>(S);

impl<S: Greeter> Greeter for NoStrangers<S> {
    async fn hello(&self, cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        if request.name == "stranger" {
            return Err(Error::permission_denied("not you"));
        }
        self.0.hello(cx, request).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let counted = CountCalls::default();
    let mut endpoints = GreeterEndpoints::new(NoStrangers(Polite)).with(&counted.clone().only([&GREETER_HELLO]));
    endpoints.hello = endpoints.hello.layer(TimeoutLayer::new(Duration::from_secs(1)));

    for name in ["world", "stranger"] {
        match endpoints.hello(&Context::background(), HelloRequest { name: name.to_owned() }).await {
            Ok(reply) => println!("{}", reply.text),
            Err(error) => println!("{error}"),
        }
    }
    println!("{} calls", counted.0.load(Ordering::Relaxed));
    Ok(())
}
