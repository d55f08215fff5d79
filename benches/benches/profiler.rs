//! What a CPU profile at 99 Hz costs the calls that are profiled: processor time of a call with and without, in turns.
//!
//! The whole process is measured, client and server and profiler, by the clock of its processor time, so other programs on
//! the machine hardly matter. Each pair of turns gives a ratio; what is printed is
//! their median, which does not mind a turn that was disturbed, and its 95 % interval.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{net::SocketAddr, time::Duration};

use benches::{Failure, client::find_by_kit, measure::is_test, must, proto::bench::ShelfClient, serve};
use kit::{
    client::Channel,
    debug::{Debug, DebugConfig},
    server::Server,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Pairs of turns; the interval shrinks with their square root.
const PAIRS: usize = 300;

/// How long a turn is in processor time: at 99 Hz some forty samples.
const TURN: Duration = Duration::from_millis(400);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let endpoints = serve::standard();
    let server = Server::new().http("127.0.0.1:0").grpc("127.0.0.1:0").service(&endpoints);
    let config = DebugConfig { addr: SocketAddr::from(([127, 0, 0, 1], 0)), charts: false, ..DebugConfig::default() };
    let server = server.debug(Debug::new("profiler").config(&config)).bind().await?;
    let (Some(debug), Some(grpc)) = (server.admin_addr("debug"), server.grpc_addr()) else {
        return Err("no port".into());
    };
    tokio::spawn(server.run(std::future::pending()));
    let client = ShelfClient::new(&Channel::new(&format!("grpc://{grpc}"))?);

    let (pairs, turn) = if is_test() { (2, Duration::from_millis(20)) } else { (PAIRS, TURN) };
    must(find_by_kit(&client, 200).await);
    let before = cpu_time();
    must(find_by_kit(&client, 200).await);
    let of_a_call = (cpu_time() - before).as_secs_f64() / 200.0;
    let count = (turn.as_secs_f64() / of_a_call).ceil() as u64;

    let mut ratios = Vec::new();
    let mut plain = Vec::new();
    for pair in 0..pairs {
        // Which comes first changes, so that what warms up falls on both alike.
        let (without, with) = if pair % 2 == 0 {
            let without = time_of(&client, count).await;
            (without, profiled(debug, &client, count).await?)
        } else {
            let with = profiled(debug, &client, count).await?;
            (time_of(&client, count).await, with)
        };
        ratios.push(with / without);
        plain.push(without);
    }
    let [low, ratio, high] = median(&mut ratios).map(|ratio| (ratio - 1.0) * 100.0);
    let [_, plain, _] = median(&mut plain).map(|seconds| seconds * 1e6);
    println!("profiler: {pairs} pairs of {count} calls, {plain:.1} µs of processor time a call without");
    println!("a CPU profile at 99 Hz costs {ratio:+.2} %, with 95 % certainty between {low:+.2} % and {high:+.2} %");
    Ok(())
}

/// Calls while a profile runs, which ends when its client goes away.
async fn profiled(debug: SocketAddr, client: &ShelfClient, count: u64) -> Result<f64, Failure> {
    let mut recording = TcpStream::connect(debug).await?;
    recording.write_all(b"GET /debug/pprof/profile?seconds=300&hz=99 HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    wait_for(debug, "is being recorded:").await?;
    let time = time_of(client, count).await;
    drop(recording);
    wait_for(debug, "Nothing is being recorded").await?;
    Ok(time)
}

/// Waits until the index page says so, and then until the profiler has done what it does at its start and its end.
async fn wait_for(debug: SocketAddr, state: &str) -> Result<(), Failure> {
    loop {
        let mut stream = TcpStream::connect(debug).await?;
        stream.write_all(b"GET /debug/pprof/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        if page.contains(state) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Ok(());
        }
    }
}

/// Processor time of a call, in seconds.
async fn time_of(client: &ShelfClient, count: u64) -> f64 {
    let before = cpu_time();
    must(find_by_kit(client, count).await);
    (cpu_time() - before).as_secs_f64() / count as f64
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The median between the ends of its interval, in which the true one is in 95 of 100 cases: which values these are follows from
/// their number alone, however they are distributed.
fn median(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let (middle, away) = (values.len() as f64 / 2.0, 0.98 * (values.len() as f64).sqrt());
    let last = values.len().saturating_sub(1);
    [middle - away, middle, middle + away].map(|at| values.get((at as usize).min(last)).copied().unwrap_or_default())
}
