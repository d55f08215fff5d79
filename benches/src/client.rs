//! Calls over sockets, one after the other and many at a time.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use kit::Context;
use tonic::transport::{Channel, Endpoint};

use crate::{
    Failure,
    http1::{self, Connection},
    peer::tonic::generated::shelf_client::ShelfClient as TonicClient,
    proto::bench::{FindRequest, Shelf},
};

/// The request that every client sends.
pub fn find_request() -> FindRequest {
    FindRequest { shelf: "classics".to_owned(), id: 42, language: "zh".to_owned(), chapters: 3, labels: true }
}

/// tonic's client on one connection.
///
/// # Errors
/// When nobody listens.
pub async fn tonic(address: SocketAddr) -> Result<TonicClient<Channel>, Failure> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
    Ok(TonicClient::new(channel))
}

/// Calls by tonic's client, one after the other.
///
/// # Errors
/// What a call failed with.
pub async fn find_by_tonic(client: &TonicClient<Channel>, count: u64) -> Result<(), Failure> {
    let mut client = client.clone();
    for _ in 0..count {
        client.find(find_request()).await?;
    }
    Ok(())
}

/// Calls by tonic's client, `at_once` at a time on one connection.
///
/// # Errors
/// What a call failed with.
pub async fn find_by_tonic_at_once(client: &TonicClient<Channel>, count: u64, at_once: u64) -> Result<(), Failure> {
    let callers = (0..at_once).map(|caller| find_by_tonic(client, share(count, at_once, caller)));
    all(callers.collect()).await
}

/// Calls by a client of the kit, one after the other.
///
/// # Errors
/// What a call failed with.
pub async fn find_by_kit(client: &impl Shelf, count: u64) -> Result<(), Failure> {
    let cx = Context::background();
    for _ in 0..count {
        client.find(&cx, find_request()).await?;
    }
    Ok(())
}

/// Calls by HTTP/1.1 on one connection, one after the other.
///
/// # Errors
/// What a call failed with.
pub async fn find_by_http(connection: &mut Connection, count: u64) -> Result<(), Failure> {
    for _ in 0..count {
        connection.call(http1::find()?).await?;
    }
    Ok(())
}

/// As [`find_by_http`], and makes the answer a message.
///
/// # Errors
/// What a call failed with.
pub async fn find_and_read(connection: &mut Connection, count: u64) -> Result<(), Failure> {
    for _ in 0..count {
        let answer: crate::peer::json::Book = serde_json::from_slice(&connection.call(http1::find()?).await?)?;
        std::hint::black_box(answer);
    }
    Ok(())
}

/// Calls by HTTP/1.1 with a body on one connection, one after the other.
///
/// # Errors
/// What a call failed with.
pub async fn store_by_http(connection: &mut Connection, json: &Bytes, count: u64) -> Result<(), Failure> {
    for _ in 0..count {
        connection.call(http1::store(json)?).await?;
    }
    Ok(())
}

/// Calls by HTTP/1.1 on all connections at once: its way to have many calls at a time.
///
/// # Errors
/// What a call failed with.
pub async fn find_by_http_at_once(connections: &mut [Connection], count: u64) -> Result<(), Failure> {
    let at_once = connections.len() as u64;
    let callers =
        (0..).zip(connections).map(|(caller, connection)| find_by_http(connection, share(count, at_once, caller)));
    all(callers.collect()).await
}

/// How many of `count` calls a caller makes.
fn share(count: u64, callers: u64, caller: u64) -> u64 {
    count / callers + u64::from(caller < count % callers)
}

async fn all(mut callers: FuturesUnordered<impl Future<Output = Result<(), Failure>>>) -> Result<(), Failure> {
    while let Some(result) = callers.next().await {
        result?;
    }
    Ok(())
}
