//! A server comes back, and all who waited for it come at the same moment.

use futures_util::future::join_all;
use kit::{
    Context, Endpoint,
    layer::breaker::{BreakerConfig, BreakerState},
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::support::{
    Echo,
    chain::{Client, per_replica, per_service, server_chain},
    golden::Golden,
    plot::{Panel, Plot, Style},
    record::{Tally, Trail},
    server::Server,
    wire::connected,
    world::{at, every, millis, run, seconds},
};

const CLIENTS: usize = 200;
/// Each has a job so often, and keeps what it could not do.
const PERIOD: u64 = 300;
const KEPT: usize = 20;
const LENGTH: f64 = 70.0;
const DOWN: (f64, f64) = (10.0, 24.0);

/// Does its jobs; those that fail wait, and as soon as one has succeeded they all go out together.
async fn client(endpoint: Endpoint<Echo, Echo>, phase: u64, done: Tally) {
    let call = || async {
        let cx = Context::background().with_timeout(seconds(1.0));
        let answer = endpoint.call_next(&cx, Echo::default()).await;
        if answer.is_ok() {
            done.add();
        }
        answer.is_ok()
    };
    let mut next = Instant::now() + millis(phase);
    let mut waiting = 0;
    loop {
        sleep_until(next).await;
        next += millis(PERIOD);
        if !call().await {
            waiting = (waiting + 1).min(KEPT);
        } else if waiting > 0 {
            let answers = join_all((0..waiting).map(|_| call())).await;
            waiting = answers.iter().filter(|answered| !**answered).count();
        }
        while next < Instant::now() {
            next += millis(PERIOD);
        }
    }
}

struct Seen {
    arrived: Tally,
    done: Tally,
    open: Trail,
}

fn simulate(breaker: BreakerConfig) -> Seen {
    run(51, async move {
        let server = Server::new("Work", 52, 100, millis(20));
        let served = server.port(server_chain(server.endpoint(), server.cpu()).endpoint);
        let config = Client { breaker, ..Client::default() };
        let done = Tally::by(millis(100));
        let mut breakers = Vec::new();
        for at in 0..CLIENTS {
            let (channel, breaker) = per_replica(&config, connected(&served));
            breakers.push(breaker);
            let phase = at as u64 * PERIOD / CLIENTS as u64;
            tokio::spawn(client(per_service(&config, channel), phase, done.clone()));
        }
        let (down, up) = (server.clone(), server.clone());
        at(DOWN.0, move || down.go_down(true));
        at(DOWN.1, move || up.go_down(false));
        let open = Trail::default();
        let trail = open.clone();
        every(millis(500), move |second| {
            let open = breakers.iter().filter(|breaker| breaker.state() != BreakerState::Closed).count();
            trail.add(second, open as f64);
        });
        sleep(seconds(LENGTH)).await;
        Seen { arrived: server.arrived(), done, open }
    })
}

#[test]
fn those_who_waited_come_back_one_after_the_other() {
    let with = simulate(BreakerConfig::default());
    // As it is often written: open for five seconds, then try.
    let without = simulate(BreakerConfig { jitter: 0.0, growth: 1.0, ..BreakerConfig::default() });
    let normal = CLIENTS as f64 * 100.0 / PERIOD as f64;
    let peak = |seen: &Seen| seen.arrived.peak(DOWN.1, LENGTH);
    let probes = |seen: &Seen| seen.arrived.peak(DOWN.0 + 9.0, DOWN.1);
    let peaks = (peak(&with), peak(&without));
    let all_back = |seen: &Seen| {
        let points = seen.open.points();
        points.iter().find(|point| point.0 > DOWN.1 && point.1 == 0.0).map_or(f64::INFINITY, |point| point.0 - DOWN.1)
    };
    let back = (all_back(&with), all_back(&without));
    println!(
        "herd: normal {normal:.0} peaks {peaks:.0?} probes {:.0} {:.0} back {back:?} done {:.0} {:.0}",
        probes(&with),
        probes(&without),
        with.done.between(0.0, LENGTH),
        without.done.between(0.0, LENGTH)
    );
    let plot = Plot::new("Thundering herd: 200 clients with open breakers when the server is back", LENGTH)
        .caption(format!(
            "Most calls in 100 ms after the recovery: {:.0} with jitter and growth, {:.0} without; {normal:.0} is the load of all.",
            peaks.0, peaks.1
        ))
        .band(DOWN.0, DOWN.1, "the server fails")
        .panel(
            Panel::new("calls that reach the server, in 100 ms")
                .line(Style::Without, "5 s without jitter and growth", without.arrived.points(LENGTH))
                .line(Style::With, "default breaker", with.arrived.points(LENGTH)),
        )
        .panel(
            Panel::new("clients whose breaker is not closed")
                .line(Style::Without, "5 s without jitter and growth", without.open.points())
                .line(Style::With, "default breaker", with.open.points()),
        );
    let golden = Golden::draw("thundering_herd", &plot);
    assert!(peaks.0 * 3.0 <= peaks.1, "the peak with jitter {:.0}, without {:.0}", peaks.0, peaks.1);
    assert!(peaks.0 <= 4.0 * normal, "the peak with jitter {:.0}, the load {normal:.0}", peaks.0);
    assert!(back.0.is_finite(), "all are back");
    golden.compare();
}
