//! Users call A, A calls B, B calls C, and each tries three times: when C fails, it gets 27 times the calls.

use kit::{Context, Endpoint};

use crate::support::{
    Echo,
    chain::{Client, client_chain, server_chain},
    golden::Golden,
    method,
    naive::naive_client,
    plot::{Panel, Plot, Style},
    record::{Points, Tally},
    server::{Cpu, Server},
    users::Users,
    wire::{connected, detached},
    world::{at, millis, run},
};

const RATE: f64 = 120.0;
const LENGTH: f64 = 110.0;
const TRIGGER: (f64, f64) = (20.0, 35.0);
/// C takes 1250 calls a second: ten times what users need, and less than half of 27 times.
const WORKERS: usize = 25;
/// Of users, A and B: each has a budget of its own.
const CLIENTS: f64 = 3.0;
const BURST: f64 = 100.0;

/// The share of the calls that C fails.
const ALL: f64 = 1.0;
/// Too few for a breaker, and more than a budget pays for.
const SOME: f64 = 0.4;

/// A service that does nothing but call the next.
fn relay(name: &'static str, next: Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
    Endpoint::from_fn(method(name), move |cx: Context, message: Echo| {
        let next = next.clone();
        async move { next.call_next(&cx, message).await }
    })
}

fn simulate(chain: bool, failing: f64) -> (Users, Tally) {
    run(1, async move {
        let c = Server::new("C", 2, WORKERS, millis(20));
        let entry = if chain {
            let client = |endpoint: &Endpoint<Echo, Echo>| client_chain(&Client::default(), connected(endpoint));
            let served = |endpoint, cpu| server_chain(endpoint, cpu).endpoint;
            let c = c.port(served(c.endpoint(), c.cpu()));
            let b = served(relay("B", client(&c)), Cpu::idle());
            let a = served(relay("A", client(&b)), Cpu::idle());
            client(&a)
        } else {
            let client =
                |endpoint: &Endpoint<Echo, Echo>, timeout| naive_client(&detached(endpoint), 3, millis(timeout));
            let b = relay("B", client(&c.port(c.endpoint()), 200));
            let a = relay("A", client(&b, 600));
            client(&a, 1800)
        };
        let (fails, heals) = (c.clone(), c.clone());
        at(TRIGGER.0, move || fails.fail(failing));
        at(TRIGGER.1, move || heals.fail(0.0));
        let users = Users::new(millis(2000));
        users.come(3, LENGTH, |_| RATE, &[entry]).await;
        (users, c.arrived())
    })
}

/// Calls of the last service for each call of a user.
fn amplification(users: &Users, arrived: &Tally, from: f64, to: f64) -> f64 {
    arrived.between(from, to) / users.calls.between(from, to).max(1.0)
}

fn by_second(users: &Users, arrived: &Tally) -> Points {
    let seconds = (0..LENGTH as u32).map(f64::from);
    seconds.map(|second| (second + 0.5, amplification(users, arrived, second, second + 1.0))).collect()
}

/// How many seconds after the trigger 95 % of the calls are answered.
fn recovery(users: &Users) -> Option<f64> {
    let mut seconds = (TRIGGER.1 as u32..LENGTH as u32 - 2).map(f64::from);
    seconds.find(|second| users.share(*second, second + 2.0) >= 0.95).map(|second| second - TRIGGER.1)
}

#[test]
fn a_retry_storm_does_not_come_about() {
    let (with, with_c) = simulate(true, ALL);
    let (without, without_c) = simulate(false, ALL);
    let (some_with, some_with_c) = simulate(true, SOME);
    let (some_without, some_without_c) = simulate(false, SOME);
    let meanwhile = |users, arrived| amplification(users, arrived, TRIGGER.0, TRIGGER.1);
    let all = (meanwhile(&with, &with_c), meanwhile(&without, &without_c));
    let some = (meanwhile(&some_with, &some_with_c), meanwhile(&some_without, &some_without_c));
    let worst = by_second(&with, &with_c).into_iter().map(|point| point.1).fold(0.0, f64::max);
    let back = (recovery(&with), recovery(&without));
    let late = amplification(&some_with, &some_with_c, TRIGGER.0 + 5.0, TRIGGER.1);
    let goods = (some_with.share(TRIGGER.0, TRIGGER.1), some_without.share(TRIGGER.0, TRIGGER.1));
    println!(
        "retry storm: all {all:.2?} worst {worst:.2} back {back:?} some {some:.2?} late {late:.2} goods \
         {goods:.3?}"
    );
    let plot = Plot::new("Retry storm: users call A, A calls B, B calls C, and C fails", LENGTH)
        .caption(format!(
            "Calls of C for one of a user meanwhile: {:.1} with the chain, {:.1} without; where C fails 4 of 10: {:.1} and \
             {:.1}.",
            all.0, all.1, some.0, some.1
        ))
        .band(TRIGGER.0, TRIGGER.1, "C fails")
        .panel(
            Panel::new("C fails all calls: calls of C for each call of a user")
                .line(Style::With, "with the chain", by_second(&with, &with_c))
                .line(Style::Without, "three attempts at each hop", by_second(&without, &without_c)),
        )
        .panel(
            Panel::new("C fails all calls: answers in time, per second")
                .line(Style::With, "with the chain", with.good.points(LENGTH))
                .line(Style::Without, "three attempts at each hop", without.good.points(LENGTH))
                .line(Style::Reference, "load of users", with.calls.points(LENGTH)),
        )
        .panel(
            Panel::new("C fails 4 of 10 calls: calls of C for each call of a user")
                .line(Style::With, "with the chain", by_second(&some_with, &some_with_c))
                .line(Style::Without, "three attempts at each hop", by_second(&some_without, &some_without_c))
                .line(Style::Reference, "1.2", vec![(0.0, 1.2), (LENGTH, 1.2)]),
        );
    let golden = Golden::draw("retry_storm", &plot);
    assert!(all.1 > 10.0, "naive retries make it {:.1} times the calls", all.1);
    assert!(all.0 <= 1.2, "the chain makes it {:.2} times the calls", all.0);
    // Three breakers stand in a row: a probe gets through when all let it.
    assert!(back.0.is_some_and(|back| back <= 30.0), "with it goodput is back after {:?} s", back.0);
    assert!(back.1.is_none(), "without it, after {:?} s", back.1);
    // Each hop has a budget of its own, of a fifth, ten a second and what was saved up.
    let saved = BURST / RATE / (TRIGGER.1 - TRIGGER.0);
    let most = 1.0 + CLIENTS * (0.2 + 10.0 / RATE + saved);
    assert!(some.0 <= most, "the chain makes it {:.2} times the calls, {most:.2} are paid for", some.0);
    golden.compare();
}
