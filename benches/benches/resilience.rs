//! What the layers of resilience add to a call that they let through, in nanoseconds, in readings of the clock and in allocations,
//! next to their peers; and what the whole chain of a server adds.
//!
//! Each layer stands around a service that is always ready and answers at once, its type not erased, and is called through
//! `&mut`; the same with a clone of the service for each call, as an endpoint makes it. Peers are set up as their documentation
//! begins, with limits that are never reached.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    fmt::Debug,
    future::{Ready, ready},
    hint::black_box,
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use benches::{
    Failure,
    added::{Cost, Costs, Way, way},
    allocations::Counting,
    chain,
    measure::criterion,
    must,
    proto::bench::ShelfEndpoints,
    results::{Results, Row, Unit},
    runtime,
};
use failsafe::futures::CircuitBreaker as _;
use governor::{Quota, RateLimiter};
use kit::{
    Context, Error, Idempotency, Method, MethodInfo, MethodKind, Request, Response,
    layer::{
        adaptive::{
            Adaptive, AdaptiveConfig, AdaptiveLayer,
            bbr::{Bbr, BbrConfig, BbrLayer, CpuSource},
        },
        breaker::{Breaker, BreakerConfig, BreakerLayer, BreakerWindow},
        concurrency::{Concurrency, ConcurrencyConfig, ConcurrencyLayer},
        hedge::{Hedge, HedgeConfig, HedgeLayer},
        rate_limit::{RateLimit, RateLimitConfig, RateLimitKey, RateLimitLayer},
        retry::{Retry, RetryConfig, RetryLayer},
        throttle::{Throttle, ThrottleConfig, ThrottleLayer},
        timeout::TimeoutLayer,
    },
    middleware::{ServerStackConfig, StandardStack},
    telemetry::{Telemetry, metrics::Metrics},
    trace::Sample,
};
use tokio::{runtime::Runtime, task::unconstrained};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt as _,
    limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
    retry::{
        Policy,
        budget::{Budget as _, TpsBudget},
    },
    service_fn,
    timeout::TimeoutLayer as TowerTimeoutLayer,
};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;

// It counts on both sides of every comparison: two additions for an allocation.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// So many calls a second that none is refused.
const MANY: u32 = 1_000_000_000;

/// What the calls of a keyed limit are told apart by.
const KEY: &str = "x-api-key";

/// How many keys take turns.
const KEYS: usize = 64;

/// The bars, in nanoseconds. Of layers it is what they add to the chain, which has read the clock for all of them.
const BREAKER: f64 = 15.0;
const RATE_LIMIT: f64 = 12.0;
const TRACE: f64 = 25.0;
/// With the two readings of the clock that it would need alone.
const METRICS: f64 = 80.0;
const CHAIN: f64 = 210.0;
/// In allocations.
const CHAIN_ALLOCATIONS: f64 = 2.0;

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    let mut costs = Costs::new("resilience", &mut criterion);
    let runtime = &runtime()?;
    let calls = &Calls::new(runtime)?;

    let _in_runtime = runtime.enter();
    nothing(&mut costs, calls);
    breakers(&mut costs, calls)?;
    rate_limits(&mut costs, calls)?;
    decisions(&mut costs, calls)?;
    concurrency(&mut costs, calls)?;
    client(&mut costs, calls)?;
    let Chains { breaker, rate_limit, trace, metrics, whole } = chains(&mut costs, runtime)?;

    let clock = costs.clock();
    costs.finish();
    println!("\nresilience: the bars");
    let mut bars = Bars { clock, results: Results::of("resilience") };
    bars.hold("breaker", &breaker, 0.0, BREAKER);
    bars.hold("rate limit", &rate_limit, 0.0, RATE_LIMIT);
    bars.hold("trace, sampled out", &trace, 0.0, TRACE);
    bars.hold("metrics, and 2 readings of the clock", &metrics, 2.0 * clock, METRICS);
    bars.hold("the whole chain on top of the bare endpoint", &whole, 0.0, CHAIN);
    println!("allocations of that chain: {:.1} of {CHAIN_ALLOCATIONS:.1}", whole.allocations);
    let row = Row::new("the whole chain on top of the bare endpoint", "adds", whole.allocations, Unit::Count);
    bars.results.record(row.at_most(CHAIN_ALLOCATIONS).measured_in("in process, allocations a call"));
    bars.results.write()?;
    criterion.final_summary();
    Ok(())
}

/// What is held to a bar: told at once, and kept for the report.
struct Bars {
    clock: f64,
    results: Results,
}

impl Bars {
    /// `beside` is what the layer would need if it stood alone.
    fn hold(&mut self, name: &str, cost: &Cost, beside: f64, bar: f64) {
        let nanos = cost.added + beside;
        let (reads, most) = (nanos / self.clock, bar / self.clock);
        let verdict = if nanos <= bar { "reached" } else { "missed" };
        println!("{name:48} {nanos:>7.1} ns of {bar:>5.1} ns, {reads:.1} of {most:.1} clock reads: {verdict}");
        let row = Row::new(name, "adds to a call through the chain", nanos, Unit::Nanoseconds);
        let row = row.spread(cost.spread.0 + beside, cost.spread.1 + beside).at_most(bar);
        self.results.record(row.measured_in(format!("in process; a reading of the clock is {:.1} ns", self.clock)));
    }
}

type Answer = Result<Response<String>, Error>;

/// The service inside: always ready, answers at once.
fn echo(request: Request<String>) -> Ready<Answer> {
    ready(Ok(Response::new(request.into_parts().1)))
}

/// How services are called.
struct Calls<'a> {
    runtime: &'a Runtime,
    one: Vec<Context>,
    keyed: Vec<Context>,
}

impl<'a> Calls<'a> {
    fn new(runtime: &'a Runtime) -> Result<Self, Failure> {
        let keyed = (0..KEYS).map(|number| {
            let mut cx = Context::background();
            cx.metadata_mut().insert(KEY, &format!("a key of the usual length: {number:08}"))?;
            Ok(cx)
        });
        Ok(Self { runtime, one: vec![Context::background()], keyed: keyed.collect::<Result<_, Error>>()? })
    }

    /// Calls with many keys.
    fn keyed<S>(&'a self, name: &'static str, service: S) -> Way<'a>
    where
        S: Service<Request<String>, Response = Response<String>, Error: Debug> + 'a,
    {
        through(name, self.runtime, &self.keyed, service)
    }

    /// Calls through `&mut`, and calls that each have a clone of the service.
    fn both<S>(&'a self, name: &'static str, service: S) -> [Way<'a>; 2]
    where
        S: Service<Request<String>, Response = Response<String>, Error: Debug> + Clone + 'a,
    {
        [through(name, self.runtime, &self.one, service.clone()), self.cloned(name, service)]
    }

    fn cloned<S>(&'a self, name: &'static str, service: S) -> Way<'a>
    where
        S: Service<Request<String>, Response = Response<String>, Error: Debug> + Clone + 'a,
    {
        way(name, move |count| {
            block_on(self.runtime, async {
                for cx in self.one.iter().cycle().take(count as usize) {
                    call(&mut black_box(&service).clone(), cx).await;
                }
            });
        })
    }
}

fn through<'a, S>(name: &'static str, runtime: &'a Runtime, contexts: &'a [Context], mut service: S) -> Way<'a>
where
    S: Service<Request<String>, Response = Response<String>, Error: Debug> + 'a,
{
    way(name, move |count| {
        block_on(runtime, async {
            for cx in contexts.iter().cycle().take(count as usize) {
                call(&mut service, cx).await;
            }
        });
    })
}

/// Without tokio's budget of a task: a call in a server has one of its own.
fn block_on(runtime: &Runtime, calls: impl Future<Output = ()>) {
    runtime.block_on(unconstrained(calls));
}

async fn call<S>(service: &mut S, cx: &Context)
where
    S: Service<Request<String>, Response = Response<String>, Error: Debug>,
{
    let request = black_box(Request::new(cx.clone(), String::new()));
    let answer = async { service.ready().await?.call(request).await };
    match answer.await {
        Ok(answer) => drop(black_box(answer)),
        Err(error) => panic!("a measured call failed: {error:?}"),
    }
}

/// Compares what a layer adds with what its peers add: called through `&mut`, and cloned for each call.
fn compare<'a, const N: usize>(
    costs: &mut Costs<'_>,
    calls: &'a Calls<'a>,
    name: &str,
    kit: [Way<'a>; 2],
    peers: [[Way<'a>; 2]; N],
) {
    let ([bare, bare_cloned], [kit, kit_cloned]) = (calls.both("bare", service_fn(echo)), kit);
    let (peers, peers_cloned): (Vec<_>, Vec<_>) = peers.into_iter().map(|[peer, cloned]| (peer, cloned)).unzip();
    costs.compare(name, bare, kit, peers);
    costs.compare(format!("{name}, cloned"), bare_cloned, kit_cloned, peers_cloned);
}

/// What it costs that there is a layer: its future, and that the answer is moved once more.
fn nothing(costs: &mut Costs<'_>, calls: &Calls<'_>) {
    let none = BreakerLayer::none().layer(service_fn(echo));
    let load_shed = LoadShedLayer::new().layer(service_fn(echo));
    compare(costs, calls, "no layer (none)", calls.both("kit", none), [calls.both("tower, load_shed", load_shed)]);
}

fn breakers(costs: &mut Costs<'_>, calls: &Calls<'_>) -> Result<(), Failure> {
    let time = BreakerLayer::new(&Breaker::new(&BreakerConfig::default())?).layer(service_fn(echo));
    let config = BreakerConfig { window: BreakerWindow::Calls(100), ..BreakerConfig::default() };
    let count = BreakerLayer::new(&Breaker::new(&config)?).layer(service_fn(echo));

    let failsafe = failsafe::Config::new().build();
    let failsafe = service_fn(move |request| failsafe.call(echo(request)));
    let resilience = CircuitBreakerLayer::builder().failure_rate_threshold(0.5).sliding_window_size(100).build()?;
    let resilience = ServiceBuilder::new().layer(resilience).service(service_fn(echo));

    compare(costs, calls, "breaker, window in time", calls.both("kit", time), [calls.both("failsafe", failsafe)]);
    compare(
        costs,
        calls,
        "breaker, window in calls",
        calls.both("kit", count),
        [calls.both("tower-resilience", resilience)],
    );
    Ok(())
}

fn rate_limits(costs: &mut Costs<'_>, calls: &Calls<'_>) -> Result<(), Failure> {
    let plain = RateLimitLayer::new(&RateLimit::new(&limit())?).layer(service_fn(echo));
    let keyed = RateLimitLayer::new(&RateLimit::new(&keyed_limit())?).layer(service_fn(echo));

    let direct = Arc::new(RateLimiter::direct(quota()));
    let direct = service_fn(move |request| if direct.check().is_ok() { echo(request) } else { refused() });
    // It looks keys up by what it keeps of them, so one that is found in a request has to be copied.
    let by_key = Arc::new(RateLimiter::keyed(quota()));
    let by_key = service_fn(move |request: Request<String>| match key(request.context()) {
        Some(key) if by_key.check_key(&key.to_owned()).is_ok() => echo(request),
        _ => refused(),
    });
    let resilience = RateLimiterLayer::per_second(MANY as usize).build()?;
    let resilience = ServiceBuilder::new().layer(resilience).service(service_fn(echo));

    compare(
        costs,
        calls,
        "rate limit",
        calls.both("kit", plain),
        [calls.both("governor", direct), calls.both("tower-resilience", resilience)],
    );
    costs.compare(
        "rate limit, 64 keys of a header",
        calls.keyed("bare", service_fn(echo)),
        calls.keyed("kit", keyed),
        [calls.keyed("governor", by_key)],
    );
    Ok(())
}

fn limit() -> RateLimitConfig {
    RateLimitConfig::of(MANY.into(), Duration::from_secs(1))
}

fn keyed_limit() -> RateLimitConfig {
    limit().with_key(RateLimitKey::Header(KEY.to_owned()))
}

fn quota() -> Quota {
    Quota::per_second(NonZeroU32::new(MANY).unwrap_or(NonZeroU32::MAX))
}

fn key(cx: &Context) -> Option<&str> {
    cx.metadata().get(KEY)
}

fn refused() -> Ready<Answer> {
    ready(Err(Error::resource_exhausted("refused")))
}

/// The decision alone, without a service and its request.
fn decisions(costs: &mut Costs<'_>, calls: &Calls<'_>) -> Result<(), Failure> {
    let (plain, keyed) = (RateLimit::new(&limit())?, RateLimit::new(&keyed_limit())?);
    let (direct, by_key) = (RateLimiter::direct(quota()), RateLimiter::keyed(quota()));
    let keys: Vec<String> = calls.keyed.iter().filter_map(key).map(str::to_owned).collect();
    costs.compare(
        "rate limit, the decision alone",
        decide("nothing", &calls.one, |cx| _ = black_box(cx)),
        admit("kit", calls.runtime, &calls.one, &plain),
        [decide("governor", &calls.one, |_| must(direct.check()))],
    );
    costs.compare(
        "rate limit, 64 keys of a header, the decision alone",
        decide("nothing", &calls.keyed, |cx| _ = black_box(cx)),
        admit("kit", calls.runtime, &calls.keyed, &keyed),
        // Its keys are at hand, the kit's are found in the contexts.
        [way("governor", |count| {
            keys.iter().cycle().take(count as usize).for_each(|key| must(by_key.check_key(black_box(key))));
        })],
    );
    Ok(())
}

fn decide<'a>(name: &'static str, contexts: &'a [Context], decide: impl Fn(&Context) + 'a) -> Way<'a> {
    way(name, move |count| contexts.iter().cycle().take(count as usize).for_each(|cx| decide(black_box(cx))))
}

fn admit<'a>(name: &'static str, runtime: &'a Runtime, contexts: &'a [Context], limit: &'a RateLimit) -> Way<'a> {
    way(name, move |count| {
        block_on(runtime, async {
            for cx in contexts.iter().cycle().take(count as usize) {
                must(limit.admit(black_box(cx)).await);
            }
        });
    })
}

fn concurrency(costs: &mut Costs<'_>, calls: &Calls<'_>) -> Result<(), Failure> {
    let fixed = Concurrency::new(&ConcurrencyConfig::default())?;
    let fixed = ConcurrencyLayer::new(&fixed).layer(service_fn(echo));
    let adaptive = AdaptiveLayer::new(&Adaptive::new(&AdaptiveConfig::default())?).layer(service_fn(echo));
    let bbr = BbrLayer::new(&Bbr::with_cpu(&BbrConfig::default(), Idle)?).layer(service_fn(echo));

    let most = ConcurrencyConfig::default().max as usize;
    let tower = ConcurrencyLimitLayer::new(most).layer(service_fn(echo));
    let shedding = ServiceBuilder::new().layer(LoadShedLayer::new()).concurrency_limit(most).service(service_fn(echo));
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(most).build()?;
    let bulkhead = ServiceBuilder::new().layer(bulkhead).service(service_fn(echo));

    compare(
        costs,
        calls,
        "concurrency limit",
        calls.both("kit", fixed),
        [
            calls.both("tower", tower),
            calls.both("tower, with load_shed", shedding),
            calls.both("tower-resilience", bulkhead),
        ],
    );
    compare(costs, calls, "adaptive", calls.both("kit", adaptive), []);
    compare(costs, calls, "bbr", calls.both("kit", bbr), []);
    Ok(())
}

/// Processors with little to do, whatever else runs on this machine.
struct Idle;

impl CpuSource for Idle {
    fn usage(&mut self, _: Duration) -> Option<f64> {
        Some(0.3)
    }
}

fn client(costs: &mut Costs<'_>, calls: &Calls<'_>) -> Result<(), Failure> {
    let info = MethodInfo::new("bench.Bench", "Echo", MethodKind::Unary);
    let method = Method::from(MethodInfo { idempotency: Idempotency::Idempotent, ..info });
    let throttle = ThrottleLayer::new(&Throttle::new(&ThrottleConfig::default())?).layer(service_fn(echo));
    let retry = RetryLayer::new(&Retry::new(&RetryConfig::default())?, &method).layer(service_fn(echo));
    let hedge = HedgeLayer::new(&Hedge::new(&HedgeConfig::default())?, &method).layer(service_fn(echo));
    let timeout = TimeoutLayer::client(Some(chain::LIMIT)).layer(service_fn(echo));

    // The same budget as the kit's.
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.2));
    let tower_retry = ServiceBuilder::new().retry(Budgeted { budget }).service(service_fn(echo));
    let tower_timeout = TowerTimeoutLayer::new(chain::LIMIT).layer(service_fn(echo));

    compare(costs, calls, "throttle", calls.both("kit", throttle), []);
    compare(costs, calls, "retry", calls.both("kit", retry), [calls.both("tower, TpsBudget", tower_retry)]);
    compare(costs, calls, "hedge", calls.both("kit", hedge), []);
    compare(costs, calls, "timeout", calls.both("kit", timeout), [calls.both("tower", tower_timeout)]);
    Ok(())
}

/// As tower documents it, with a request that is cloned by its parts.
#[derive(Clone)]
struct Budgeted {
    budget: Arc<TpsBudget>,
}

impl Policy<Request<String>, Response<String>, Error> for Budgeted {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<String>, result: &mut Answer) -> Option<Ready<()>> {
        match result {
            Ok(_) => {
                self.budget.deposit();
                None
            }
            Err(_) => self.budget.withdraw().then(|| ready(())),
        }
    }

    fn clone_request(&mut self, request: &Request<String>) -> Option<Request<String>> {
        Some(Request::new(request.context().clone(), request.message().clone()))
    }
}

/// What has a bar.
struct Chains {
    breaker: Cost,
    rate_limit: Cost,
    trace: Cost,
    metrics: Cost,
    whole: Cost,
}

/// The chain around an endpoint: with what it has by default, watched, and with all that keeps a service up.
fn chains(costs: &mut Costs<'_>, runtime: &Runtime) -> Result<Chains, Failure> {
    let traced = chain::traced(Sample::Never);
    let metered = Telemetry::new().with_metrics(&Metrics::new());
    let telemetry = chain::traced(Sample::Never).with_metrics(&Metrics::new());

    let bare = ShelfEndpoints::new(chain::nothing()).find;
    let standard = bare.clone().with(&StandardStack::default());
    let watched = bare.clone().with(&StandardStack::default().watched_by(&telemetry));
    let spans = bare.clone().with(&StandardStack::default().watched_by(&traced));
    let figures = bare.clone().with(&StandardStack::default().watched_by(&metered));
    let whole = bare.clone().with(&chain::kept_up()?.watched_by(&chain::watched()));
    let calls = |name, endpoint: &kit::Endpoint<_, _>| {
        let endpoint = endpoint.clone();
        way(name, move |count| must(runtime.block_on(unconstrained(chain::call_endpoint(&endpoint, count)))))
    };
    costs.compare("the bare endpoint again (noise)", calls("bare", &bare), calls("again", &bare), []);
    costs.compare("standard chain", calls("bare", &bare), calls("kit", &standard), []);
    costs.compare("standard chain, metrics, sampled out", calls("bare", &bare), calls("kit", &watched), []);
    // What one of them adds to the chain.
    let mut part = |name: &str, with: &kit::Endpoint<_, _>| {
        costs.compare(format!("in the chain: {name}"), calls("chain", &standard), calls("kit", with), [])
    };
    let trace = part("trace, sampled out", &spans);
    let metrics = part("metrics", &figures);
    let default = ServerStackConfig::default;
    let with = |config: ServerStackConfig| Ok::<_, Failure>(bare.clone().with(&StandardStack::server(&config)?));
    let breaker = part("breaker", &with(ServerStackConfig { breaker: Some(BreakerConfig::default()), ..default() })?);
    let rate_limit = part("rate limit", &with(ServerStackConfig { rate_limit: Some(limit()), ..default() })?);
    let concurrency = Some(ConcurrencyConfig::default());
    part("concurrency limit", &with(ServerStackConfig { concurrency, ..default() })?);
    let name = "standard chain, rate limit, concurrency, breaker, metrics, trace 1/1000";
    let whole = costs.compare(name, calls("bare", &bare), calls("kit", &whole), []);
    Ok(Chains { breaker, rate_limit, trace, metrics, whole })
}
