//! What a service calls becomes slow as a whole. Its calls fill all places that the service has, and then nothing is answered any more,
//! not even what needs nobody.

use std::{sync::Arc, time::Duration};

use kit::{
    Context, Endpoint,
    layer::{breaker::BreakerConfig, concurrency::ConcurrencyConfig},
};
use tokio::{sync::Semaphore, time::sleep};

use crate::support::{
    Echo,
    chain::{Client, client_chain, server_chain},
    golden::Golden,
    method,
    naive::naive_client,
    plot::{Panel, Plot, Style},
    replicas::round_robin,
    server::{Cpu, Server},
    users::Users,
    wire::{connected, detached},
    world::{at, millis, run},
};

/// Calls that the service can have open: threads, connections, memory.
const PLACES: usize = 200;
const RATE: f64 = 100.0;
const LENGTH: f64 = 100.0;
const TRIGGER: (f64, f64) = (20.0, 60.0);
const PATIENCE: Duration = Duration::from_secs(2);

/// A method that needs a place for as long as it runs.
fn placed(places: &Arc<Semaphore>, inner: Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
    let places = Arc::clone(places);
    Endpoint::from_fn(inner.method().clone(), move |cx: Context, message: Echo| {
        let (places, inner) = (Arc::clone(&places), inner.clone());
        async move {
            let _place = places.acquire().await.unwrap();
            inner.call_next(&cx, message).await
        }
    })
}

/// The users of the method that needs the replicas, and those of the one that needs nobody.
fn simulate(chain: bool) -> (Users, Users) {
    run(41, async move {
        let replicas: Vec<_> = (0..2).map(|at| Server::new("Backend", 42 + at, 50, millis(50))).collect();
        let places = Arc::new(Semaphore::new(PLACES));
        let healthy = Endpoint::from_fn(method("Healthy"), |_: Context, message: Echo| async move {
            sleep(millis(10)).await;
            Ok(message)
        });
        let (needy, healthy) = if chain {
            let backends =
                replicas.iter().map(|replica| connected(&server_chain(replica.endpoint(), Cpu::idle()).endpoint));
            let config = Client {
                // A quarter of the places, and slow is ten times what is usual: what only the owner of a service knows.
                concurrency: Some(ConcurrencyConfig { queue: 10, ..ConcurrencyConfig::shed_above(50) }),
                breaker: BreakerConfig { slow_ratio: Some(0.5), slow_call: millis(500), ..BreakerConfig::default() },
                ..Client::default()
            };
            let client = client_chain(&config, round_robin(backends.collect()));
            let served = |inner| connected(&server_chain(placed(&places, inner), Cpu::idle()).endpoint);
            (served(client), served(healthy))
        } else {
            let backends = replicas.iter().map(|replica| detached(&replica.endpoint())).collect();
            let client = naive_client(&round_robin(backends), 3, millis(2000));
            (detached(&placed(&places, client)), detached(&placed(&places, healthy)))
        };
        let (slow, well) = (replicas.clone(), replicas);
        at(TRIGGER.0, move || slow.iter().for_each(|replica| replica.slow_down(100.0)));
        at(TRIGGER.1, move || well.iter().for_each(|replica| replica.slow_down(1.0)));
        let (needy_users, healthy_users) = (Users::new(PATIENCE), Users::new(PATIENCE));
        let (needy, healthy) = ([needy], [healthy]);
        tokio::join!(
            needy_users.come(44, LENGTH, |_| RATE, &needy),
            healthy_users.come(45, LENGTH, |_| RATE, &healthy)
        );
        (needy_users, healthy_users)
    })
}

#[test]
fn what_does_not_need_the_slow_replicas_is_answered() {
    let (with_needy, with) = simulate(true);
    let (without_needy, without) = simulate(false);
    let shares = (with.share(TRIGGER.0, TRIGGER.1), without.share(TRIGGER.0, TRIGGER.1));
    let needy = (with_needy.share(TRIGGER.1 + 30.0, LENGTH), without_needy.share(TRIGGER.1 + 30.0, LENGTH));
    println!("all slow: {shares:.3?} needy after: {needy:.3?}");
    let plot = Plot::new("All replicas slow: a service with 200 places calls them in one of its methods", LENGTH)
        .caption(format!(
            "Meanwhile the other method is answered in {:.1} % of its calls with the chain, in {:.1} % without.",
            shares.0 * 100.0,
            shares.1 * 100.0
        ))
        .band(TRIGGER.0, TRIGGER.1, "all replicas take 100 times as long")
        .panel(
            Panel::new("the method that needs nobody: answers within 2 s, per second")
                .line(Style::With, "with the chain", with.good.points(LENGTH))
                .line(Style::Without, "naive timeouts and retries", without.good.points(LENGTH))
                .line(Style::Reference, "load", with.calls.points(LENGTH)),
        )
        .panel(
            Panel::new("the method that needs the replicas: answers within 2 s, per second")
                .line(Style::With, "with the chain", with_needy.good.points(LENGTH))
                .line(Style::Without, "naive timeouts and retries", without_needy.good.points(LENGTH))
                .line(Style::Reference, "load", with_needy.calls.points(LENGTH)),
        );
    let golden = Golden::draw("all_replicas_slow", &plot);
    assert!(shares.0 >= 0.99, "the healthy method with the chain: {:.3}", shares.0);
    assert!(shares.1 <= 0.5, "the healthy method without it: {:.3}", shares.1);
    assert!(needy.0 >= 0.99, "the other method is well again: {:.3}", needy.0);
    golden.compare();
}
