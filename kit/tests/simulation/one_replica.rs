//! Four replicas, and one of them is slow, or dead.

use std::time::Duration;

use kit::layer::hedge::HedgeConfig;

use crate::support::{
    chain::{Client, per_replica, per_service, server_chain},
    golden::Golden,
    naive::naive_client,
    plot::{Panel, Plot, Style},
    record::Tally,
    replicas::{in_turns, ready_in_turn, round_robin},
    server::Server,
    users::Users,
    wire::{connected, detached},
    world::{at, millis, run},
};

const REPLICAS: u64 = 4;
const WORKERS: usize = 10;
const RATE: f64 = 200.0;
const LENGTH: f64 = 130.0;
const TRIGGER: (f64, f64) = (20.0, 110.0);
/// For how long hedging alone holds.
const HEDGED: f64 = 30.0;
const CLIENTS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Fault {
    /// Calls take twenty times as long, more than it has workers for.
    Slow,
    /// Connections are refused.
    Dead,
    /// Nothing is answered any more.
    Silent,
}

fn simulate(chain: bool, fault: Fault) -> (Users, Tally) {
    run(21, async move {
        let replicas: Vec<_> = (0..REPLICAS).map(|at| Server::new("Read", 22 + at, WORKERS, millis(20))).collect();
        let clients: Vec<_> = if chain {
            // Reads of several replicas: what hedging is for.
            let config = Client { hedge: Some(HedgeConfig::default()), ..Client::default() };
            let served: Vec<_> = replicas
                .iter()
                .map(|replica| replica.port(server_chain(replica.endpoint(), replica.cpu()).endpoint))
                .collect();
            let client = || {
                let channels = served.iter().map(|replica| per_replica(&config, connected(replica)).0).collect();
                in_turns(per_service(&config, ready_in_turn(channels)))
            };
            (0..CLIENTS).map(|_| client()).collect()
        } else {
            let served: Vec<_> = replicas.iter().map(|replica| detached(&replica.port(replica.endpoint()))).collect();
            (0..CLIENTS).map(|_| naive_client(&round_robin(served.clone()), 3, millis(500))).collect()
        };
        let (ill, well) = (replicas[1].clone(), replicas[1].clone());
        at(TRIGGER.0, move || match fault {
            Fault::Slow => ill.slow_down(20.0),
            Fault::Dead => ill.go_down(true),
            Fault::Silent => ill.slow_down(1e6),
        });
        at(TRIGGER.1, move || {
            well.slow_down(1.0);
            well.go_down(false);
        });
        let users = Users::new(PATIENCE);
        users.come(31, LENGTH, |_| RATE, &clients).await;
        (users, replicas[1].arrived())
    })
}

/// What users saw while the replica was ill, up to a second.
struct Figures {
    /// The share that was answered in time.
    answered: f64,
    /// In milliseconds.
    p99: f64,
}

fn figures(users: &Users, to: f64) -> Figures {
    let from = TRIGGER.0;
    Figures { answered: users.share(from, to), p99: users.took.quantile(from + 1.0, to, 0.99) }
}

fn plot(title: &'static str, band: &'static str, with: &Users, without: &Users) -> Plot {
    let (on, off) = (figures(with, TRIGGER.1), figures(without, TRIGGER.1));
    Plot::new(title, LENGTH)
        .caption(format!(
            "Meanwhile: answered within 1 s {:.1} % with the chain, {:.1} % without; 99 % of those within {:.0} ms and {:.0} \
             ms.",
            on.answered * 100.0,
            off.answered * 100.0,
            on.p99,
            off.p99
        ))
        .band(TRIGGER.0, TRIGGER.1, band)
        .panel(
            Panel::new("goodput: answers within 1 s, per second")
                .line(Style::With, "with the chain", with.good.points(LENGTH))
                .line(Style::Without, "naive timeouts and retries", without.good.points(LENGTH))
                .line(Style::Reference, "load", with.calls.points(LENGTH)),
        )
}

/// Hedging holds for half a minute. Later the quantile that it waits for is that of the slow calls, which are more than one in twenty:
/// then it comes too late for some. A balancer has to take the replica out by then.
fn check_hedged(name: &str, title: &'static str, band: &'static str, fault: Fault) {
    let ((with, _), (without, _)) = (simulate(true, fault), simulate(false, fault));
    let plot = plot(title, band, &with, &without).panel(
        Panel::new("99th percentile of the answers, ms")
            .line(Style::With, "with the chain", with.took.quantiles(LENGTH, 1.0, 0.99))
            .line(Style::Without, "naive timeouts and retries", without.took.quantiles(LENGTH, 1.0, 0.99)),
    );
    let golden = Golden::draw(name, &plot);
    let (on, off) = (figures(&with, TRIGGER.0 + HEDGED), figures(&without, TRIGGER.0 + HEDGED));
    let (later, later_off) = (figures(&with, TRIGGER.1), figures(&without, TRIGGER.1));
    println!(
        "{name}: first {:.3} {:.0} {:.3} {:.0}; all {:.3} {:.0} {:.3} {:.0}",
        on.answered, on.p99, off.answered, off.p99, later.answered, later.p99, later_off.answered, later_off.p99
    );
    assert!(on.answered >= 0.99, "{name}: answered at first: {:.3}", on.answered);
    assert!(on.p99 * 2.0 <= off.p99, "{name}: p99 at first {:.0} ms, without {:.0} ms", on.p99, off.p99);
    assert!(later.answered > later_off.answered, "{name}: {:.3}, {:.3}", later.answered, later_off.answered);
    golden.compare();
}

#[test]
fn one_slow_replica_is_hardly_noticed_at_first() {
    let title = "One slow replica of four: its calls take 20 times as long";
    check_hedged("one_slow_replica", title, "one replica is slow", Fault::Slow);
}

#[test]
fn one_silent_replica_is_hardly_noticed_at_first() {
    let title = "One silent replica of four: it answers nothing";
    check_hedged("one_silent_replica", title, "one replica is silent", Fault::Silent);
}

#[test]
fn one_dead_replica_is_left_alone() {
    let ((with, with_dead), (without, without_dead)) = (simulate(true, Fault::Dead), simulate(false, Fault::Dead));
    let title = "One dead replica of four: connections are refused";
    let plot = plot(title, "one replica is dead", &with, &without).panel(
        Panel::new("calls that reach the dead replica, per second")
            .line(Style::With, "with the chain", with_dead.by_second(LENGTH))
            .line(Style::Without, "naive timeouts and retries", without_dead.by_second(LENGTH)),
    );
    let golden = Golden::draw("one_dead_replica", &plot);
    let (on, off) = (figures(&with, TRIGGER.1), figures(&without, TRIGGER.1));
    let sent = (with_dead.rate(TRIGGER.0, TRIGGER.1), without_dead.rate(TRIGGER.0, TRIGGER.1));
    println!("dead: {:.3} {:.3} sent {sent:.1?}", on.answered, off.answered);
    assert!(on.answered >= 0.995, "answered: {:.3}", on.answered);
    assert!(sent.0 * 10.0 <= sent.1, "calls that reach it with the chain {:.1}, without {:.1}", sent.0, sent.1);
    golden.compare();
}
