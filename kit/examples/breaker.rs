//! A circuit breaker around one method, and a throttle around another.
//!
//! `cargo run -p kit --example breaker` makes calls inside the process to a service that is down for a while, and prints who
//! answers.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kit::{
    Context, Endpoint, Error, Method, MethodInfo, MethodKind,
    layer::{
        breaker::{Breaker, BreakerConfig, BreakerWindow},
        throttle::{Throttle, ThrottleConfig},
    },
};

/// A service that can be switched off.
fn service(up: &Arc<AtomicBool>) -> Endpoint<String, String> {
    let up = Arc::clone(up);
    let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
    Endpoint::from_fn(method, move |_, text: String| {
        let answer = if up.load(Ordering::Relaxed) { Ok(text) } else { Err(Error::unavailable("the service is down")) };
        std::future::ready(answer)
    })
}

async fn call(say: &Endpoint<String, String>) {
    match say.call_next(&Context::background(), "hello".to_owned()).await {
        Ok(answer) => println!("  {answer}"),
        Err(error) => println!("  {error}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let up = Arc::new(AtomicBool::new(false));

    let config = BreakerConfig {
        window: BreakerWindow::Calls(10),
        min_calls: 3,
        open_for: Duration::from_millis(200),
        probes: 1,
        successes: 1,
        ..BreakerConfig::default()
    };
    let breaker = Breaker::new(&config)?;
    // Around all methods of a client it is the same: `client.with(&breaker)`.
    let say = service(&up).with(&breaker);
    println!("four calls to a service that is down:");
    for _ in 0..4 {
        call(&say).await;
    }
    println!("the breaker is {}; the service comes back", breaker.state().name());
    up.store(true, Ordering::Relaxed);
    call(&say).await;
    tokio::time::sleep(breaker.figures().wait.unwrap_or_default()).await;
    call(&say).await;
    println!("the breaker is {}", breaker.state().name());

    up.store(false, Ordering::Relaxed);
    let throttle = Throttle::new(&ThrottleConfig::default())?;
    let say = service(&up).with(&throttle);
    for _ in 0..100 {
        let _ = say.call_next(&Context::background(), "hello".to_owned()).await;
    }
    let figures = throttle.figures();
    println!("of {} calls to a service that is down {} were not sent", figures.requests, figures.rejected);
    Ok(())
}
