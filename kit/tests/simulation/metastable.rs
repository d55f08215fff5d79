//! A server that was overloaded for some seconds stays down: its queue is so long that nobody waits for what it answers, and because
//! nobody is answered, all try again.

use std::time::Duration;

use crate::support::{
    chain::{Client, client_chain, server_chain},
    golden::Golden,
    naive::naive_client,
    plot::{Panel, Plot, Style},
    record::Tally,
    server::Server,
    users::Users,
    wire::{connected, detached},
    world::{at, millis, run},
};

/// Two thirds of what the server can take.
const RATE: f64 = 200.0;
const CAPACITY: f64 = 300.0;
const WORKERS: usize = 30;
const LENGTH: f64 = 100.0;
const TRIGGER: (f64, f64) = (20.0, 30.0);
/// Processes, each with a chain of its own.
const CLIENTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy)]
enum Trigger {
    /// Four times the load.
    Spike,
    /// A fifth of the capacity.
    Dip,
}

fn simulate(chain: bool, trigger: Trigger) -> (Users, Tally) {
    run(11, async move {
        let server = Server::new("Work", 12, WORKERS, millis(100));
        let clients: Vec<_> = if chain {
            let served = server_chain(server.endpoint(), server.cpu()).endpoint;
            (0..CLIENTS).map(|_| client_chain(&Client::default(), connected(&served))).collect()
        } else {
            let served = detached(&server.endpoint());
            (0..CLIENTS).map(|_| naive_client(&served, 3, millis(1000))).collect()
        };
        if let Trigger::Dip = trigger {
            let (slow, well) = (server.clone(), server.clone());
            at(TRIGGER.0, move || slow.slow_down(5.0));
            at(TRIGGER.1, move || well.slow_down(1.0));
        }
        let rate = move |second: f64| match trigger {
            Trigger::Spike if second >= TRIGGER.0 && second < TRIGGER.1 => 4.0 * RATE,
            _ => RATE,
        };
        let users = Users::new(PATIENCE);
        users.come(13, LENGTH, rate, &clients).await;
        (users, server.arrived())
    })
}

/// How many seconds after the trigger at least 95 % of the calls are answered, for five seconds on end.
fn recovery(users: &Users) -> Option<f64> {
    let seconds = (TRIGGER.1 as u32..LENGTH as u32 - 5).map(f64::from);
    let well = |second: &f64| users.share(*second, second + 5.0) >= 0.95;
    seconds.into_iter().find(well).map(|second| second - TRIGGER.1)
}

fn check(what: &str, with: &Users, without: &Users) -> f64 {
    let (back, never) = (recovery(with), recovery(without));
    let during = (with.good.rate(TRIGGER.0, TRIGGER.1), without.good.rate(TRIGGER.0, TRIGGER.1));
    let at_the_end = without.share(LENGTH - 20.0, LENGTH - 5.0);
    println!("metastable {what}: back {back:?} {never:?} during {during:.0?} at the end {at_the_end:.2}");
    let back = back.unwrap_or(f64::INFINITY);
    assert!(back <= 30.0, "{what}: with the chain goodput is back after {back} s");
    assert!(never.is_none() && at_the_end < 0.1, "{what}: without it, after {never:?} s");
    back
}

#[test]
fn an_overload_ends_with_its_cause() {
    let (with, _) = simulate(true, Trigger::Spike);
    let (without, _) = simulate(false, Trigger::Spike);
    let (with_dip, _) = simulate(true, Trigger::Dip);
    let (without_dip, _) = simulate(false, Trigger::Dip);
    let back = recovery(&with).unwrap_or(f64::INFINITY);
    let back_dip = recovery(&with_dip).unwrap_or(f64::INFINITY);
    let plot = Plot::new("Metastable overload: four times the load for ten seconds", LENGTH)
        .caption(format!(
            "95 % of the calls are answered again {back:.0} s after the spike ({back_dip:.0} s after a dip of the capacity); naive \
             clients: never."
        ))
        .band(TRIGGER.0, TRIGGER.1, "the trigger")
        .panel(
            Panel::new("load spike: answers in time, per second")
                .line(Style::With, "with the chain", with.good.points(LENGTH))
                .line(Style::Without, "naive timeouts and retries", without.good.points(LENGTH))
                .line(Style::Reference, "load of users", with.calls.points(LENGTH))
                .up_to(CAPACITY * 1.2),
        )
        .panel(
            Panel::new("capacity dip to a fifth: answers in time, per second")
                .line(Style::With, "with the chain", with_dip.good.points(LENGTH))
                .line(Style::Without, "naive timeouts and retries", without_dip.good.points(LENGTH))
                .line(Style::Reference, "load of users", with_dip.calls.points(LENGTH))
                .up_to(CAPACITY * 1.2),
        );
    let golden = Golden::draw("metastable_overload", &plot);
    check("spike", &with, &without);
    check("dip", &with_dip, &without_dip);
    golden.compare();
}
