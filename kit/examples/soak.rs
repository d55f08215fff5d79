//! Profiles under full load: calls by gRPC and HTTP/JSON as fast as they go, while CPU profiles, heap profiles and flame
//! graphs are taken back to back. Fails when a call fails, or a profile.
//!
//! `cargo run --release -p kit --all-features --example soak -- 600` runs for ten minutes; `just soak` does that too.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    hint::black_box,
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kit::{
    Context, Error,
    client::Channel,
    debug::{Debug, DebugConfig},
    middleware::{ServerStackConfig, StandardStack},
    server::Server,
    telemetry::log::LogConfig,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterClient, GreeterEndpoints, HelloReply, HelloRequest};

#[global_allocator]
static ALLOCATOR: kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Callers of each transport: more than there are processors, so that all of them are busy.
const CALLERS: usize = 16;

/// How often progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);

/// What is asked for, one after the other, by one client each.
const RECORDED: [&str; 2] = ["/debug/pprof/profile?seconds=2&hz=99", "/debug/flamegraph?seconds=1&hz=999"];
const DUMPED: [&str; 3] = ["/debug/pprof/heap", "/debug/pprof/allocs", "/debug/flamegraph?kind=inuse_space"];

/// Answers with work for the processor and the allocator, as a handler has it.
struct Busy;

impl Greeter for Busy {
    async fn hello(&self, _cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        let words: Vec<String> = (0..20).map(|number| format!("{} {number}", request.name)).collect();
        Ok(HelloReply { text: black_box(words).join(", ") })
    }
}

#[derive(Default)]
struct Counts {
    grpc: AtomicU64,
    http: AtomicU64,
    failed: AtomicU64,
    recordings: AtomicU64,
    dumps: AtomicU64,
    failed_profiles: AtomicU64,
}

impl Counts {
    fn print(&self, since: Instant) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (grpc, http, passed) = (get(&self.grpc), get(&self.http), since.elapsed().as_secs_f64());
        println!(
            "{passed:>5.0} s  {grpc} gRPC calls and {http} HTTP calls ({:.0}/s), {} failed;  {} CPU recordings and {} heap \
             dumps, {} failed;  {} MiB resident",
            (grpc + http) as f64 / passed,
            get(&self.failed),
            get(&self.recordings),
            get(&self.dumps),
            get(&self.failed_profiles),
            resident_mebibytes(),
        );
    }

    fn is_good(&self) -> bool {
        let none = |count: &AtomicU64| count.load(Ordering::Relaxed) == 0;
        none(&self.failed)
            && none(&self.failed_profiles)
            && ![&self.grpc, &self.http, &self.recordings, &self.dumps].into_iter().any(none)
    }
}

fn resident_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

async fn call(client: GreeterClient, counts: Arc<Counts>, http: bool, stop: CancellationToken) {
    let (cx, request) = (Context::background(), HelloRequest { name: "soak".to_owned() });
    while !stop.is_cancelled() {
        match client.hello(&cx, request.clone()).await {
            Ok(reply) if reply.text.ends_with("soak 19") => {
                if http { &counts.http } else { &counts.grpc }.fetch_add(1, Ordering::Relaxed);
            }
            Ok(reply) => fail(&counts.failed, &format!("a wrong answer: {}", reply.text)),
            Err(error) => fail(&counts.failed, &error.to_log().to_string()),
        }
    }
}

fn fail(count: &AtomicU64, why: &str) {
    // The first few tell what there is to know.
    if count.fetch_add(1, Ordering::Relaxed) < 10 {
        println!("FAILED: {why}");
    }
}

/// Asks for profiles one after the other.
async fn profile(address: SocketAddr, paths: &'static [&'static str], counts: Arc<Counts>, stop: CancellationToken) {
    let count = if paths == RECORDED { &counts.recordings } else { &counts.dumps };
    for path in paths.iter().cycle() {
        if stop.is_cancelled() {
            return;
        }
        match get(address, path).await {
            Ok(Answer::Profile(length)) if length > 100 => {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Answer::Profile(length)) => fail(&counts.failed_profiles, &format!("{path}: {length} bytes")),
            // Somebody who watches has taken the turn.
            Ok(Answer::Taken) => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => fail(&counts.failed_profiles, &format!("{path}: {error}")),
        }
    }
}

enum Answer {
    Profile(usize),
    Taken,
}

/// The length of an answer, which must be a good one.
async fn get(address: SocketAddr, path: &str) -> Result<Answer, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(Answer::Profile(answer.len()));
    }
    if answer.starts_with(b"HTTP/1.1 409 ") {
        return Ok(Answer::Taken);
    }
    Err(String::from_utf8_lossy(answer.get(..500).unwrap_or(&answer)).into())
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let seconds = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?,
        None => 600,
    };
    LogConfig { level: "warn".to_owned(), ..LogConfig::default() }.init()?;
    // All of the load is to be borne.
    let chain = StandardStack::server(&ServerStackConfig { bbr: None, ..ServerStackConfig::default() })?;
    let endpoints = GreeterEndpoints::new(Busy).with(&chain);
    let server = Server::new().http("127.0.0.1:0").grpc("127.0.0.1:0").service(&endpoints);
    let config = DebugConfig { addr: SocketAddr::from(([127, 0, 0, 1], 0)), charts: false, ..DebugConfig::default() };
    let server = server.debug(Debug::new("soak").config(&config)).bind().await?;
    let addresses = (server.http_addr(), server.grpc_addr(), server.admin_addr("debug"));
    let (Some(http), Some(grpc), Some(debug)) = addresses else { return Err("no port".into()) };
    let stopping = CancellationToken::new();
    let served = tokio::spawn(server.run(stopping.clone().cancelled_owned()));

    println!("{seconds} s of full load on {http} and {grpc}, with profiles at http://{debug}/debug/pprof/");
    let (counts, stop, since) = (Arc::new(Counts::default()), CancellationToken::new(), Instant::now());
    let mut running = JoinSet::new();
    for (url, is_http) in [(format!("grpc://{grpc}"), false), (format!("http://{http}"), true)] {
        let client = GreeterClient::new(&Channel::new(&url)?);
        for _ in 0..CALLERS {
            running.spawn(call(client.clone(), Arc::clone(&counts), is_http, stop.clone()));
        }
    }
    running.spawn(profile(debug, &RECORDED, Arc::clone(&counts), stop.clone()));
    running.spawn(profile(debug, &DUMPED, Arc::clone(&counts), stop.clone()));

    let end = since + Duration::from_secs(seconds);
    while Instant::now() < end {
        tokio::time::sleep_until((Instant::now() + PROGRESS).min(end)).await;
        counts.print(since);
    }
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended?;
    }
    stopping.cancel();
    served.await??;
    println!("{}", if counts.is_good() { "good: nothing failed" } else { "NOT GOOD: see above" });
    Ok(if counts.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
