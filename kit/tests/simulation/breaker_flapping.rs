//! A server that is ill for ten seconds and well for ten, for ten minutes: a breaker must not follow it like a flag in the wind.

use kit::{
    Class, Context,
    layer::breaker::{BreakerConfig, BreakerState},
};
use tokio::time::{Instant, sleep};

use crate::support::{
    Echo,
    chain::{Client, per_replica},
    golden::Golden,
    plot::{Panel, Plot, Style},
    record::{Tally, Trail},
    server::Server,
    wire::connected,
    world::{every, exponential, millis, run},
};

const RATE: f64 = 40.0;
const LENGTH: f64 = 600.0;
/// Ill for so long, then well for so long.
const SLOWLY: f64 = 30.0;
const FAST: f64 = 10.0;
const ILL_SHARE: f64 = 0.6;

#[derive(Clone, Copy)]
enum Illness {
    Lasting,
    ByTurns(f64),
}

struct Seen {
    /// How often it has opened.
    openings: Trail,
    opened: u32,
    failed: Tally,
    good: Tally,
}

fn simulate(breaker: &BreakerConfig, illness: Illness) -> Seen {
    let config = Client { breaker: breaker.clone(), ..Client::default() };
    run(61, async move {
        let server = Server::new("Work", 62, 20, millis(20));
        let (endpoint, breaker) = per_replica(&config, connected(&server.endpoint()));
        every(millis(1000), move |second| {
            let ill = match illness {
                Illness::Lasting => true,
                Illness::ByTurns(period) => (second / period) as u64 % 2 == 1,
            };
            server.fail(if ill { ILL_SHARE } else { 0.0 });
        });
        let mut seen = Seen { openings: Trail::default(), opened: 0, failed: Tally::new(), good: Tally::new() };
        let (start, mut last) = (Instant::now(), None);
        let mut random = fastrand::Rng::with_seed(63);
        while start.elapsed().as_secs_f64() < LENGTH {
            sleep(exponential(&mut random, RATE)).await;
            // One call at a time: the state changes by calls only, so that no opening is missed.
            match endpoint.call_next(&Context::background(), Echo::default()).await {
                Ok(_) => seen.good.add(),
                Err(error) if error.class() == Class::Rejected => {}
                Err(_) => seen.failed.add(),
            }
            let figures = breaker.figures();
            let since = Instant::now() - figures.since;
            if figures.state == BreakerState::Open && last != Some(since) {
                last = Some(since);
                seen.openings.add(start.elapsed().as_secs_f64(), f64::from(seen.opened));
                seen.opened += 1;
                seen.openings.add(start.elapsed().as_secs_f64(), f64::from(seen.opened));
            }
        }
        seen.openings.add(LENGTH, f64::from(seen.opened));
        seen
    })
}

#[test]
fn a_breaker_does_not_flap() {
    let default = BreakerConfig::default();
    // As it is often written: open for five seconds, then one call decides.
    let naive = BreakerConfig { growth: 1.0, jitter: 0.0, probes: 1, successes: 1, ..BreakerConfig::default() };
    let (lasting, lasting_naive) = (simulate(&default, Illness::Lasting), simulate(&naive, Illness::Lasting));
    let (slowly, slowly_naive) =
        (simulate(&default, Illness::ByTurns(SLOWLY)), simulate(&naive, Illness::ByTurns(SLOWLY)));
    let fast = simulate(&default, Illness::ByTurns(FAST));
    let failed = |seen: &Seen| seen.failed.between(0.0, LENGTH);
    println!(
        "flapping: lasting {} {} slowly {} {} fast {}; failed {:.0} {:.0} {:.0} {:.0}",
        lasting.opened,
        lasting_naive.opened,
        slowly.opened,
        slowly_naive.opened,
        fast.opened,
        failed(&lasting),
        failed(&lasting_naive),
        failed(&slowly),
        failed(&slowly_naive)
    );
    let plot = Plot::new("Breaker flapping: ten minutes with a server that fails 60 % of its calls", LENGTH)
        .caption(format!(
            "It opens {} times with growth, jitter and three probes, {} times without; by turns ill and well {} and {} times.",
            lasting.opened, lasting_naive.opened, slowly.opened, slowly_naive.opened
        ))
        .panel(
            Panel::new("ill all the time: how often the breaker has opened")
                .line(Style::Without, "always 5 s, one probe", lasting_naive.openings.points())
                .line(Style::With, "default breaker", lasting.openings.points()),
        )
        .panel(
            Panel::new("ill for 30 s, well for 30 s: how often the breaker has opened")
                .line(Style::Without, "always 5 s, one probe", slowly_naive.openings.points())
                .line(Style::With, "default breaker", slowly.openings.points()),
        );
    let golden = Golden::draw("breaker_flapping", &plot);
    assert!(f64::from(lasting.opened) <= most_openings(&default), "{}", lasting.opened);
    assert!(lasting.opened * 3 <= lasting_naive.opened, "{} {}", lasting.opened, lasting_naive.opened);
    assert!(slowly.opened * 3 <= slowly_naive.opened, "{} {}", slowly.opened, slowly_naive.opened);
    // At most once for each time that the server became ill: it follows the server, not its chance.
    let spells = (LENGTH / FAST / 2.0) as u32;
    assert!(fast.opened <= spells, "{} in {spells} spells", fast.opened);
    golden.compare();
}

/// When each time is longer by `growth`, and closed in between is nothing; twice that, for probes that succeed by chance.
fn most_openings(config: &BreakerConfig) -> f64 {
    let (mut openings, mut passed, mut open) = (0.0, 0.0, config.open_for.as_secs_f64());
    while passed < LENGTH {
        openings += 1.0;
        passed += open;
        open = (open * config.growth).min(config.open_max.as_secs_f64());
    }
    openings * 2.0
}
