//! A service under three times the load that it can do, on real sockets: with the standard chain it goes on doing what it can do,
//! without it nobody gets an answer in time. Fails when goodput falls below nine tenths of the peak, or calls that are admitted take
//! more than five times as long as without load.
//!
//! `cargo run --release -p kit --example overload` takes a minute; a number says how many seconds each phase takes. With the word `show`
//! after it nothing fails: on a machine that does something else meanwhile the figures mean little.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{process::ExitCode, sync::Arc, time::Duration};

use kit::{
    Code, Context, Error,
    client::Channel,
    middleware::{ServerStackConfig, StandardStack},
    server::Server,
    telemetry::log::LogConfig,
};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterClient, GreeterEndpoints, HelloReply, HelloRequest};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the service can do at once, as a pool of database connections limits it, and how long each takes.
const POOL: usize = 10;
const WORK: Duration = Duration::from_millis(20);
/// How long a caller waits.
const PATIENCE: Duration = Duration::from_millis(500);
const CHANNELS: usize = 4;

/// What bounds the service.
#[derive(Clone)]
enum Bound {
    /// A pool, whose users wait in the order in which they came.
    Pool(Arc<Semaphore>),
    /// Its processors, which a call keeps busy for so long.
    Processors(Duration),
}

impl Greeter for Bound {
    async fn hello(&self, _: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        match self {
            Self::Pool(pool) => {
                let _connection = pool.acquire().await.map_err(|_| Error::unavailable("the pool is closed"))?;
                sleep(WORK).await;
            }
            Self::Processors(work) => {
                // In pieces, so that a call whose caller has gone ends.
                let piece = *work / 10;
                for _ in 0..10 {
                    let start = Instant::now();
                    while start.elapsed() < piece {
                        std::hint::spin_loop();
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(HelloReply { text: request.name })
    }
}

/// A service that runs, and its callers.
struct Running {
    clients: Vec<GreeterClient>,
    server: JoinHandle<()>,
}

impl Running {
    async fn start(bound: &Bound, chain: Option<&ServerStackConfig>) -> Result<Self, Failure> {
        let mut endpoints = GreeterEndpoints::new(bound.clone());
        if let Some(chain) = chain {
            endpoints = endpoints.with(&StandardStack::server(chain)?);
        }
        let server = Server::new().grpc("127.0.0.1:0").service(&endpoints).bind().await?;
        let address = server.grpc_addr().ok_or("no port")?;
        let server = tokio::spawn(async move {
            let _ = server.run(std::future::pending()).await;
        });
        let channels = (0..CHANNELS).map(|_| Channel::new(&format!("grpc://{address}")));
        let clients =
            channels.map(|channel| channel.map(|channel| GreeterClient::new(&channel))).collect::<Result<_, _>>()?;
        Ok(Self { clients, server })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// How calls ended.
#[derive(Default)]
struct Outcomes {
    /// How long those took that were answered in time.
    answered: Vec<Duration>,
    refused: usize,
    late: usize,
    failed: usize,
}

impl Outcomes {
    fn add(&mut self, (took, result): (Duration, Result<(), Error>)) {
        match result {
            Ok(()) => self.answered.push(took),
            Err(error) if error.code() == Code::ResourceExhausted => self.refused += 1,
            Err(error) if error.code() == Code::DeadlineExceeded => self.late += 1,
            Err(_) => self.failed += 1,
        }
    }

    fn goodput(&self, time: Duration) -> f64 {
        self.answered.len() as f64 / time.as_secs_f64()
    }

    fn quantile(&mut self, share: f64) -> Duration {
        self.answered.sort_unstable();
        let at = ((self.answered.len() as f64 * share) as usize).min(self.answered.len().saturating_sub(1));
        self.answered.get(at).copied().unwrap_or_default()
    }
}

async fn call(client: GreeterClient) -> (Duration, Result<(), Error>) {
    let start = Instant::now();
    let cx = Context::background().with_timeout(PATIENCE);
    let result = client.hello(&cx, HelloRequest { name: "you".to_owned() }).await;
    (start.elapsed(), result.map(drop))
}

/// Callers that wait for their answer before they call again.
async fn closed_loop(running: &Running, callers: usize, time: Duration) -> Outcomes {
    let end = Instant::now() + time;
    let mut all = JoinSet::new();
    for client in running.clients.iter().cycle().take(callers) {
        let client = client.clone();
        all.spawn(async move {
            let mut outcomes = Outcomes::default();
            while Instant::now() < end {
                outcomes.add(call(client.clone()).await);
            }
            outcomes
        });
    }
    let mut whole = Outcomes::default();
    while let Some(part) = all.join_next().await {
        let Ok(part) = part else { continue };
        whole.answered.extend(part.answered);
        (whole.refused, whole.late, whole.failed) =
            (whole.refused + part.refused, whole.late + part.late, whole.failed + part.failed);
    }
    whole
}

/// Callers that come at their own pace, whether others were answered or not.
async fn open_loop(running: &Running, rate: f64, time: Duration) -> Outcomes {
    let (start, mut sent, mut whole) = (Instant::now(), 0_usize, Outcomes::default());
    let mut calls = JoinSet::new();
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut clients = running.clients.iter().cycle();
    while start.elapsed() < time {
        ticks.tick().await;
        let due = (start.elapsed().as_secs_f64() * rate) as usize;
        for client in clients.by_ref().take(due.saturating_sub(sent)) {
            calls.spawn(call(client.clone()));
        }
        sent = due;
        while let Some(Ok(ended)) = calls.try_join_next() {
            whole.add(ended);
        }
    }
    while let Some(ended) = calls.join_next().await {
        whole.add(
            ended.unwrap_or_else(|e| (Duration::ZERO, Err(Error::internal("the caller panicked").with_source(e)))),
        );
    }
    whole
}

fn row(name: &str, outcomes: &mut Outcomes, time: Duration) {
    println!(
        "{name:<34} {:>7.0}/s {:>9.1?} {:>9.1?} {:>8} {:>8} {:>6}",
        outcomes.goodput(time),
        outcomes.quantile(0.5),
        outcomes.quantile(0.99),
        outcomes.refused,
        outcomes.late,
        outcomes.failed,
    );
}

/// What a refusal costs, with its way there and back: of a breaker that is open.
async fn cost_of_a_refusal(time: Duration) -> Result<Duration, Failure> {
    let config = serde_json::from_value(json!({ "rate_limit": { "limit": 1, "per": "24h" } }))?;
    let running = Running::start(&Bound::Processors(Duration::ZERO), Some(&config)).await?;
    let refused = closed_loop(&running, 1, time).await.refused;
    Ok(time / u32::try_from(refused.max(1))?)
}

/// Shows a service alone, at its peak, and under three times that, with these chains and without; whether those do what they should.
async fn show(bound: Bound, callers: usize, chains: &[(&str, Value)], time: Duration) -> Result<bool, Failure> {
    println!("{:<34} {:>9} {:>9} {:>9} {:>8} {:>8} {:>6}", "", "goodput", "p50", "p99", "refused", "late", "failed");
    let bare = Running::start(&bound, None).await?;
    let mut unloaded = closed_loop(&bare, 1, time).await;
    row("one caller", &mut unloaded, time);
    let mut peak = closed_loop(&bare, callers, time).await;
    row("as many as it works on at once", &mut peak, time);
    let rate = 3.0 * peak.goodput(time);
    let mut without = open_loop(&bare, rate, time).await;
    row("three times as many, no chain", &mut without, time);
    drop(bare);

    let mut good = true;
    for (name, config) in chains {
        let running = Running::start(&bound, Some(&serde_json::from_value(config.clone())?)).await?;
        // What finds itself has found itself before it is judged.
        open_loop(&running, rate, time).await;
        let mut loaded = open_loop(&running, rate, time).await;
        row(name, &mut loaded, time);
        let kept = loaded.goodput(time) / peak.goodput(time);
        let slower = loaded.quantile(0.99).as_secs_f64() / unloaded.quantile(0.99).as_secs_f64();
        println!("{:<34} {:>6.0} % of the peak; p99 {slower:.1} times that of one caller", "", kept * 100.0);
        good &= kept >= 0.9 && slower <= 5.0 && loaded.failed == 0;
    }
    Ok(good)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let shows = std::env::args().nth(2).is_some_and(|word| word == "show");
    let seconds = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?,
        None => 5,
    };
    let time = Duration::from_secs(seconds);
    LogConfig { level: "off".to_owned(), ..LogConfig::default() }.init()?;

    println!("a pool of {POOL}, {WORK:?} of work a call, callers wait {PATIENCE:?}\n");
    let pool = Bound::Pool(Arc::new(Semaphore::new(POOL)));
    let limit = json!({ "bbr": "none", "concurrency": { "max": POOL, "queue": POOL, "queue_timeout": "40ms" } });
    let adaptive = json!({ "bbr": "none", "adaptive": { "initial": POOL, "queue": 4 } });
    let chains = [("... with a concurrency limit", limit), ("... with an adaptive limit", adaptive)];
    let good = show(pool, POOL, &chains, time).await?;

    let refusal = cost_of_a_refusal(time).await?;
    let (work, processors) = (refusal * 20, std::thread::available_parallelism()?.get());
    println!(
        "\n{processors} processors, {work:.1?} of work a call, twenty times a refusal with its way there and back ({refusal:.1?})\n"
    );
    let limit = json!({ "bbr": "none", "concurrency": { "max": processors, "queue": processors } });
    let chains = [("... with a concurrency limit", limit), ("... with the default (bbr)", json!({}))];
    let cpu = show(Bound::Processors(work), processors, &chains, time).await?;
    println!("\n{}", if good && cpu { "good: it does what it can do" } else { "NOT GOOD: see above" });
    Ok(if shows || good && cpu { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
