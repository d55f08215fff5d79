//! Several replicas behind one client. There is no balancer in the kit yet, so they simply take turns.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use kit::{Class, Context, Endpoint, Request};

use super::{Echo, method, wire::is_remote};

/// Whose turn it is for a call, all of its attempts.
#[derive(Clone, Copy)]
struct Turn(usize);

/// Each attempt goes to the next one.
pub(crate) fn round_robin(replicas: Vec<Endpoint<Echo, Echo>>) -> Endpoint<Echo, Echo> {
    let turn = AtomicUsize::new(0);
    let replicas: Arc<[_]> = replicas.into();
    let shared = Arc::new((turn, replicas));
    Endpoint::from_fn(method("Pick"), move |cx: Context, message: Echo| {
        let (turn, replicas) = &*shared;
        let call = replicas[turn.fetch_add(1, Relaxed) % replicas.len()].call(Request::new(cx, message));
        async move { Ok(call.await?.into_message()) }
    })
}

/// Around the chain of a client: says for each call which replica is the first for it.
pub(crate) fn in_turns(client: Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
    let turn = Arc::new(AtomicUsize::new(0));
    Endpoint::from_fn(client.method().clone(), move |mut cx: Context, message: Echo| {
        cx.set_extension(Turn(turn.fetch_add(1, Relaxed)));
        let call = client.call(Request::new(cx, message));
        async move { Ok(call.await?.into_message()) }
    })
}

/// Inside of the chain: two things that balancers do. A further attempt of a call goes to another replica than the first, and one that
/// was not sent, because the breaker or the limit of the replica refused it on this side, goes to the one after it at once.
pub(crate) fn ready_in_turn(replicas: Vec<Endpoint<Echo, Echo>>) -> Endpoint<Echo, Echo> {
    let replicas: Arc<[_]> = replicas.into();
    Endpoint::from_fn(method("Pick"), move |cx: Context, message: Echo| {
        let replicas = Arc::clone(&replicas);
        async move {
            let first = cx.extension::<Turn>().map_or(0, |turn| turn.0) + cx.previous_attempts() as usize;
            let mut tried = 0;
            loop {
                let replica = &replicas[(first + tried) % replicas.len()];
                let error = match replica.call(Request::new(cx.clone(), message)).await {
                    Ok(answer) => return Ok(answer.into_message()),
                    Err(error) => error,
                };
                tried += 1;
                let unsent = error.class() == Class::Rejected && !is_remote(&error);
                if !unsent || tried == replicas.len() {
                    return Err(error);
                }
            }
        }
    })
}
