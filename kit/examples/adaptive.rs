//! A limit that finds itself, and the protection of a system whose processors are busy.
//!
//! `cargo run -p kit --example adaptive` makes calls inside the process to a service that works on eight of them at once, and later
//! on two, and prints where the limit goes.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{sync::Arc, time::Duration};

use kit::{
    Context, Error, Middleware,
    layer::adaptive::{
        Adaptive, AdaptiveConfig,
        bbr::{Bbr, BbrConfig, CpuSource},
    },
};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterEndpoints, HelloReply, HelloRequest};

/// Works on as many calls at once as there are permits, a hundredth of a second each; the others wait.
#[derive(Clone)]
struct Workers(Arc<Semaphore>);

impl Greeter for Workers {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        let _worker = self.0.acquire().await.map_err(|_| Error::unavailable("closed"))?;
        sleep(Duration::from_millis(10)).await;
        Ok(HelloReply { text: format!("Hello, {}!", request.name) })
    }
}

/// So many callers, who come again at once when they are answered, and soon when they are refused.
fn callers(endpoints: &GreeterEndpoints, count: usize) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let endpoints = endpoints.clone();
        callers.spawn(async move {
            loop {
                if endpoints.hello(&Context::background(), HelloRequest::default()).await.is_err() {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    callers
}

fn around(workers: &Arc<Semaphore>, middleware: &impl Middleware) -> GreeterEndpoints {
    GreeterEndpoints::new(Workers(Arc::clone(workers))).with(middleware)
}

/// Processors that are always busy, so that this machine does not have to be.
struct Busy;

impl CpuSource for Busy {
    fn usage(&mut self, _passed: Duration) -> Option<f64> {
        Some(0.95)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let workers = Arc::new(Semaphore::new(8));
    let config = AdaptiveConfig {
        window: Duration::from_millis(50),
        probe: Some(Duration::from_millis(500)),
        min: 1,
        initial: 40,
        queue: 0,
        ..AdaptiveConfig::default()
    };
    let limit = Adaptive::new(&config)?;
    let running = callers(&around(&workers, &limit), 100);
    println!("100 callers; the service works on 8 calls at once, the limit begins at {}", limit.figures().limit);
    for seconds in 1..=4 {
        sleep(Duration::from_secs(1)).await;
        let now = limit.figures();
        println!(
            "  after {seconds} s the limit is {}, {} calls run, {} were refused",
            now.limit, now.in_flight, now.full
        );
        if seconds == 2 {
            workers.forget_permits(6);
            println!("now it works on 2 calls at once");
        }
    }
    drop(running);

    let bbr = Bbr::with_cpu(&BbrConfig::default(), Busy)?;
    let running = callers(&around(&Arc::new(Semaphore::new(8)), &bbr), 100);
    println!("the processors become busy");
    for _ in 0..4 {
        sleep(Duration::from_secs(1)).await;
        let now = bbr.figures();
        let capacity = now.capacity.unwrap_or_default();
        println!(
            "  {:.0} % busy: the service gets {capacity:.0} calls done at once, {} run, {} were refused",
            now.cpu * 100.0,
            now.in_flight,
            now.rejected,
        );
    }
    drop(running);
    Ok(())
}
