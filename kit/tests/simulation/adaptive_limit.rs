//! A server whose capacity moves: how many calls it may have at once can't be configured. The default adaptive limit finds it.

use std::time::Duration;

use crate::support::{
    chain::server_chain,
    golden::Golden,
    plot::{Panel, Plot, Style},
    record::{Points, Trail},
    server::{Cpu, Server},
    users::Users,
    wire::{connected, detached},
    world::{at, every, millis, run},
};

const SERVICE: Duration = Duration::from_millis(100);
/// Until which second there are so many workers.
const PHASES: [(f64, f64, usize); 3] = [(0.0, 30.0, 100), (30.0, 60.0, 30), (60.0, 90.0, 150)];
const LENGTH: f64 = 90.0;
/// A fifth more than the most that the server can take.
const RATE: f64 = 1800.0;
const PATIENCE: Duration = Duration::from_secs(2);
/// The last seconds of a phase are its steady state.
const STEADY: f64 = 15.0;

struct Seen {
    users: Users,
    limit: Trail,
    workers: Trail,
}

fn simulate(chain: bool) -> Seen {
    run(71, async move {
        let server = Server::new("Work", 72, PHASES[0].2, SERVICE);
        let (limit, workers) = (Trail::default(), Trail::default());
        let endpoint = if chain {
            // Its workers wait for something else: the processors have nothing to do.
            let served = server_chain(server.endpoint(), Cpu::idle());
            let (adaptive, trail) = (served.adaptive, limit.clone());
            every(millis(250), move |second| trail.add(second, f64::from(adaptive.figures().limit)));
            connected(&served.endpoint)
        } else {
            detached(&server.endpoint())
        };
        for (from, to, size) in PHASES {
            let server = server.clone();
            at(from, move || server.resize(size));
            workers.add(from, size as f64);
            workers.add(to, size as f64);
        }
        // Without a limit nobody would be answered in time: so that the plot shows how late they are, these wait.
        let users = Users::new(if chain { PATIENCE } else { Duration::from_secs(600) });
        users.come(73, LENGTH, |_| RATE, &[endpoint]).await;
        Seen { users, limit, workers }
    })
}

/// Answers within the patience of those who had none.
fn in_time(users: &Users) -> Points {
    let patience = PATIENCE.as_secs_f64() * 1e3;
    let second = |second: f64| users.took.values(second, second + 1.0).iter().filter(|took| **took <= patience).count();
    (0..LENGTH as u32).map(f64::from).map(|at| (at + 0.5, second(at) as f64)).collect()
}

/// How many seconds after the beginning of a phase four fifths of the capacity are used.
fn found(users: &Users, (from, to, workers): (f64, f64, usize)) -> f64 {
    let enough = 0.8 * workers as f64 / SERVICE.as_secs_f64();
    let mut seconds = (from as u32..to as u32).map(f64::from);
    seconds.find(|second| users.good.rate(*second, second + 1.0) >= enough).map_or(f64::INFINITY, |at| at - from)
}

#[test]
fn a_limit_follows_the_capacity() {
    let (with, without) = (simulate(true), simulate(false));
    let mut figures = Vec::new();
    for (_, to, workers) in PHASES {
        let from = to - STEADY;
        let capacity = workers as f64 / SERVICE.as_secs_f64();
        figures.push((
            with.users.good.rate(from, to) / capacity,
            with.limit.mean(from, to),
            with.users.took.quantile(from, to, 0.5),
            with.users.took.quantile(from, to, 0.99),
            without.users.took.quantile(from, to, 0.5),
        ));
    }
    let found = PHASES.map(|phase| found(&with.users, phase));
    println!("found {found:?}");
    println!("adaptive: (goodput/capacity, limit, p50, p99, p50 without) {figures:.2?}");
    let capacity = with.workers.points().into_iter().map(|(second, workers)| (second, workers / SERVICE.as_secs_f64()));
    let plot = Plot::new("Adaptive limit: 100, then 30, then 150 workers, and too much load", LENGTH)
        .caption(format!(
            "Steady: {:.0}, {:.0} and {:.0} % of the capacity, 99 % within {:.0}, {:.0} and {:.0} ms; 80 % is found in {:.0}, {:.0} and {:.0} s.",
            figures[0].0 * 100.0,
            figures[1].0 * 100.0,
            figures[2].0 * 100.0,
            figures[0].3,
            figures[1].3,
            figures[2].3,
            found[0],
            found[1],
            found[2]
        ))
        .panel(Panel::new("calls at once").line(Style::With, "the limit", with.limit.points()).line(
            Style::Reference,
            "workers",
            with.workers.points(),
        ))
        .panel(
            Panel::new("goodput: answers within 2 s, per second")
                .line(Style::With, "with the chain", with.users.good.points(LENGTH))
                .line(Style::Without, "no limit", in_time(&without.users))
                .line(Style::Reference, "capacity", capacity.collect()),
        )
        .panel(
            Panel::new("median time to the answer, ms; without a limit it goes on growing")
                .line(Style::With, "with the chain", with.users.took.quantiles(LENGTH, 1.0, 0.5))
                .line(Style::Without, "no limit", without.users.took.quantiles(LENGTH, 1.0, 0.5))
                .up_to(5000.0),
        );
    let golden = Golden::draw("adaptive_limit", &plot);
    for ((_, to, workers), (goodput, limit, _, p99, _)) in PHASES.into_iter().zip(&figures) {
        assert!(*goodput >= 0.8, "until {to} s: {goodput:.2} of the capacity");
        assert!(*p99 <= 5.0 * SERVICE.as_secs_f64() * 1e3, "until {to} s: p99 is {p99:.0} ms");
        let off = limit / workers as f64;
        assert!((0.7..=2.0).contains(&off), "until {to} s: the limit is {limit:.0} for {workers} workers");
    }
    assert!(found.iter().all(|seconds| *seconds <= 15.0), "four fifths of the capacity are found after {found:?} s");
    assert!(figures[2].4 > 10_000.0, "without a limit calls take {:.0} ms at last", figures[2].4);
    golden.compare();
}
