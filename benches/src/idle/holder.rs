//! Whoever holds connections: it opens them, makes one call on each, answers pings, and makes more calls when it is told to.

use std::{
    io::{BufRead as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};

use super::wire::{Connection, Protocol};
use crate::{Failure, runtime};

/// How many connections are opened at a time: fewer than the queue of a port holds.
const OPENING: usize = 64;

/// Connections that come from one address; the system has 28,000 ports for each unless told otherwise.
pub(super) const OF_AN_ADDRESS: usize = 8_000;

/// How often somebody looks for pings: servers wait 20 s for the answer.
const LOOK: Duration = Duration::from_secs(2);

/// The process: until its standard input ends.
///
/// # Errors
/// When the system refuses a runtime.
pub fn run(protocol: Protocol, count: usize, group: u8, to: SocketAddr) -> Result<(), Failure> {
    let (asks, mut asked) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if asks.blocking_send(line).is_err() {
                break;
            }
        }
    });
    runtime()?.block_on(async {
        let mut held = match open(protocol, count, group, to).await {
            Ok(held) => held,
            Err(error) => return say(&format!("a connection failed: {error}")),
        };
        say(&format!("held {}", held.len()))?;
        let (mut lost, mut look) = (0, interval(LOOK));
        loop {
            tokio::select! {
                line = asked.recv() => {
                    let Some(line) = line else { return Ok(()) };
                    let answer = match line.split(' ').collect::<Vec<_>>().as_slice() {
                        ["lost"] => lost.to_string(),
                        ["call", at_once, millis] => {
                            let time = Duration::from_millis(millis.parse()?);
                            match call(&mut held, at_once.parse()?, time).await {
                                Ok((calls, seconds)) => format!("called {calls} {seconds}"),
                                Err(error) => format!("a call failed: {error}"),
                            }
                        }
                        _ => format!("what is {line}?"),
                    };
                    say(&answer)?;
                }
                _ = look.tick() => lost += keep(&mut held).await,
            }
        }
    })
}

fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

async fn open(protocol: Protocol, count: usize, group: u8, to: SocketAddr) -> Result<Vec<Connection>, Failure> {
    let opening = (0..count).map(|number| async move {
        let address = u8::try_from(2 + number / OF_AN_ADDRESS)?;
        let from = SocketAddr::from((Ipv4Addr::new(127, 1, group, address), 0));
        let mut connection = Connection::open(protocol, from, to).await?;
        connection.call().await?;
        Ok::<_, Failure>(connection)
    });
    stream::iter(opening).buffer_unordered(OPENING).try_collect().await
}

/// Calls on all connections in turn. Each caller has its share of them.
async fn call(held: &mut [Connection], at_once: usize, time: Duration) -> Result<(u64, f64), Failure> {
    let share = held.len().div_ceil(at_once.max(1)).max(1);
    let start = Instant::now();
    let callers = held.chunks_mut(share).map(|connections| async move {
        let mut calls = 0;
        'all: loop {
            for connection in connections.iter_mut() {
                if start.elapsed() >= time {
                    break 'all;
                }
                connection.call().await?;
                calls += 1;
            }
        }
        Ok::<u64, Failure>(calls)
    });
    let calls: u64 = futures_util::future::try_join_all(callers).await?.into_iter().sum();
    Ok((calls, start.elapsed().as_secs_f64()))
}

/// Answers pings; how many connections are lost.
async fn keep(held: &mut Vec<Connection>) -> usize {
    let mut lost = Vec::new();
    for (place, connection) in held.iter_mut().enumerate() {
        if connection.keep().await.is_err() {
            lost.push(place);
        }
    }
    for place in lost.iter().rev() {
        held.swap_remove(*place);
    }
    lost.len()
}
