//! What the standard chain costs a call, and what each of its parts does: nanoseconds, allocations, and something to be looked at by
//! a profiler.
//!
//! ```sh
//! cargo run --release -p benches --example chain                    # the table, in some seconds
//! valgrind --tool=callgrind target/release/examples/chain whole 20000   # so many calls of one way
//! ```

#![allow(clippy::print_stdout, reason = "it prints its figures")]

use benches::{Failure, allocations, allocations::Counting, chain, proto::bench::ShelfEndpoints, runtime};
use kit::{
    layer::{
        breaker::BreakerConfig, concurrency::ConcurrencyConfig, rate_limit::RateLimitConfig,
        validation::ValidationConfig,
    },
    middleware::{ServerStackConfig, StandardStack},
    telemetry::{Telemetry, metrics::Metrics},
    trace::Sample,
};
use tokio::{task::unconstrained, time::Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: u64 = 200_000;
const TURNS: usize = 15;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = runtime()?;
    let bare = ShelfEndpoints::new(chain::nothing()).find;
    let least = || ServerStackConfig { bbr: None, validation: None, ..ServerStackConfig::default() };
    let with = |config: ServerStackConfig| Ok::<_, Failure>(bare.clone().with(&StandardStack::server(&config)?));
    let watched = |telemetry: &Telemetry| {
        Ok::<_, Failure>(bare.clone().with(&StandardStack::server(&least())?.watched_by(telemetry)))
    };
    let rate_limit = RateLimitConfig::of(1_000_000_000, std::time::Duration::from_secs(1));
    let endpoints = [
        ("bare", bare.clone()),
        ("least", with(least())?),
        ("bbr", with(ServerStackConfig { bbr: Some(Default::default()), ..least() })?),
        ("rate limit", with(ServerStackConfig { rate_limit: Some(rate_limit), ..least() })?),
        ("concurrency", with(ServerStackConfig { concurrency: Some(ConcurrencyConfig::default()), ..least() })?),
        ("validation", with(ServerStackConfig { validation: Some(ValidationConfig::default()), ..least() })?),
        ("breaker", with(ServerStackConfig { breaker: Some(BreakerConfig::default()), ..least() })?),
        ("trace", watched(&chain::traced(Sample::Never))?),
        ("metrics", watched(&Telemetry::new().with_metrics(&Metrics::new()))?),
        ("whole", bare.clone().with(&chain::kept_up()?.watched_by(&chain::watched()))),
    ];
    let run = |endpoint, count| runtime.block_on(unconstrained(chain::call_endpoint(endpoint, count)));
    if let [name, count] = &*arguments {
        for (_, endpoint) in endpoints.iter().filter(|(known, _)| known == name) {
            run(endpoint, count.parse()?)?;
        }
        return Ok(());
    }
    let mut times = vec![Vec::new(); endpoints.len()];
    for _ in 0..TURNS {
        for ((_, endpoint), times) in endpoints.iter().zip(&mut times) {
            let start = Instant::now();
            run(endpoint, CALLS)?;
            times.push(start.elapsed().as_secs_f64() * 1e9 / CALLS as f64);
        }
    }
    for ((name, endpoint), times) in endpoints.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (count, bytes) = allocations::of_a_call(|count| benches::must(run(endpoint, count)));
        let (least, median) =
            (times.first().copied().unwrap_or(f64::NAN), times.get(TURNS / 2).copied().unwrap_or(f64::NAN));
        println!("{name:12} {median:7.1} ns, least {least:7.1} ns, {count:4.1} allocations, {bytes:6.0} bytes");
    }
    Ok(())
}
