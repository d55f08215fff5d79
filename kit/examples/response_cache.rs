//! Single flight and a response cache around a service: a crowd that asks the same makes one call, and the next crowd none.
//!
//! `cargo run -p kit --example response_cache --features cache` calls a slow service inside the process.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use kit::{
    Context, Error, Request,
    layer::{
        response_cache::{DEGRADED, ResponseCache, ResponseCacheConfig},
        single_flight::{SingleFlight, SingleFlightConfig},
    },
};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{GREETER_HELLO, Greeter, GreeterEndpoints, HelloReply, HelloRequest};

#[derive(Clone, Default)]
struct Slow {
    calls: Arc<AtomicU32>,
    down: Arc<AtomicBool>,
}

impl Greeter for Slow {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::unavailable("not now"));
        }
        Ok(HelloReply { text: format!("Hello, {}! (call {number})", request.name) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let service = Slow::default();
    let crowd = async |greeter: &GreeterEndpoints, what: &str| -> Result<(), Error> {
        let cx = Context::background();
        let calls = (0..100).map(|_| greeter.hello(&cx, request()));
        let answers = futures_util::future::join_all(calls).await;
        let last = answers.into_iter().last().unwrap_or_else(|| Err(Error::internal("nobody came")))?;
        println!("{what}: {}, {} calls made", last.text, service.calls.swap(0, Ordering::Relaxed));
        Ok(())
    };

    // `Hello` has a GET rule, so both layers know that it may be asked once for many.
    let joined = GreeterEndpoints::new(service.clone()).with(&SingleFlight::new(&SingleFlightConfig::default())?);
    crowd(&joined, "100 at once with single flight").await?;
    crowd(&joined, "100 more").await?;

    let config = ResponseCacheConfig {
        ttl: Duration::from_millis(100),
        stale_if_error: Duration::from_secs(30),
        ..ResponseCacheConfig::default()
    };
    let cache = ResponseCache::new(&config)?;
    let kept = GreeterEndpoints::new(service.clone()).with(&cache);
    crowd(&kept, "100 at once with a cache").await?;
    crowd(&kept, "100 more").await?;

    // What the answer is made of has changed.
    cache.invalidate(&GREETER_HELLO, &Context::background(), &request()).await;
    crowd(&kept, "100 after a change").await?;

    tokio::time::sleep(Duration::from_millis(150)).await;
    service.down.store(true, Ordering::Relaxed);
    let cx = Context::background().next(&GREETER_HELLO);
    let old = kept.hello.call(Request::new(cx, request())).await?;
    let why = old.metadata().get(DEGRADED).unwrap_or("it is not old");
    println!("while the service is down: {} ({why})", old.message().text);
    Ok(())
}

fn request() -> HelloRequest {
    HelloRequest { name: "world".to_owned() }
}
