//! Both transports over loopback sockets against tonic and axum by hand, and the kit's clients against tonic's and hyper's.
//!
//! Of what is compared only one end differs: where servers are compared, the client is tonic's or hyper's for both. The rows
//! that compare a server with its like say how far a ratio is from 1 by chance.

use benches::{
    Failure, client,
    http1::Connection,
    measure::{Table, criterion, side},
    must,
    placement::Placement,
    proto::bench::ShelfClient,
    runtime,
    serve::{self, ServerThread},
    shelf,
};
use bytes::Bytes;
use kit::{client::Channel, json, transport::http::HttpConfig};

/// How many calls there are at a time where it is not one.
const AT_ONCE: u64 = 64;

fn main() -> Result<(), Failure> {
    let placement = Placement::new()?;
    let mut criterion = criterion();
    let mut table = Table::new("transports", &mut criterion);
    compare_grpc(&mut table, &placement)?;
    compare_http(&mut table, &placement)?;
    table.finish();
    criterion.final_summary();
    Ok(())
}

fn compare_grpc(table: &mut Table<'_>, placement: &Placement) -> Result<(), Failure> {
    let runtime = &runtime()?;
    let peer = serve::tonic()?;
    let to_peer = &runtime.block_on(client::tonic(peer.address()))?;
    let servers = [
        ("tonic", "tonic, twice (noise)", serve::tonic()?),
        ("kit", "gRPC server bare", serve::kit_grpc(serve::bare())?),
        ("kit", "gRPC server as it comes", serve::kit_grpc(serve::standard())?),
    ];
    for (who, what, other) in servers {
        let to_other = &runtime.block_on(client::tonic(other.address()))?;
        placement.together(&[&peer, &other])?;
        table.compare(
            format!("{what}, one at a time"),
            side("tonic", |n| must(runtime.block_on(client::find_by_tonic(to_peer, n)))).served_by(&peer),
            side(who, |n| must(runtime.block_on(client::find_by_tonic(to_other, n)))).served_by(&other),
        );
        placement.apart(&[&peer, &other])?;
        let at_once = |to, n| must(runtime.block_on(client::find_by_tonic_at_once(to, n, AT_ONCE)));
        table.compare(
            format!("{what}, {AT_ONCE} at a time"),
            side("tonic", |n| at_once(to_peer, n)).served_by(&peer),
            side(who, |n| at_once(to_other, n)).served_by(&other),
        );
    }

    placement.together(&[&peer])?;
    let kit = runtime.block_on(async { connect("grpc", &peer) })?;
    table.compare(
        "gRPC client, one at a time",
        side("tonic", |n| must(runtime.block_on(client::find_by_tonic(to_peer, n)))),
        side("kit", |n| must(runtime.block_on(client::find_by_kit(&kit, n)))),
    );
    Ok(())
}

fn compare_http(table: &mut Table<'_>, placement: &Placement) -> Result<(), Failure> {
    let runtime = &runtime()?;
    let peer = serve::axum()?;
    let open = |server: &ServerThread| runtime.block_on(Connection::open(server.address()));
    let open_many = |server: &ServerThread| (0..AT_ONCE).map(|_| open(server)).collect::<Result<Vec<_>, _>>();
    let (mut to_peer, mut many_to_peer) = (open(&peer)?, open_many(&peer)?);
    let stored = &Bytes::from(json::to_string(&shelf::book(serve::CHAPTERS))?);

    let servers = [
        ("axum", "axum, twice (noise)", serve::axum()?),
        ("kit", "HTTP server bare", serve::kit_http(serve::bare(), serve::plain())?),
        ("kit", "HTTP server as it comes", serve::kit_http(serve::standard(), HttpConfig::default())?),
    ];
    for (who, what, other) in servers {
        let (mut to_other, mut many_to_other) = (open(&other)?, open_many(&other)?);
        placement.together(&[&peer, &other])?;
        table.compare(
            format!("{what}, GET, one at a time"),
            side("axum", |n| must(runtime.block_on(client::find_by_http(&mut to_peer, n)))).served_by(&peer),
            side(who, |n| must(runtime.block_on(client::find_by_http(&mut to_other, n)))).served_by(&other),
        );
        table.compare(
            format!("{what}, POST, one at a time"),
            side("axum", |n| must(runtime.block_on(client::store_by_http(&mut to_peer, stored, n)))).served_by(&peer),
            side(who, |n| must(runtime.block_on(client::store_by_http(&mut to_other, stored, n)))).served_by(&other),
        );
        placement.apart(&[&peer, &other])?;
        table.compare(
            format!("{what}, GET, {AT_ONCE} at a time"),
            side("axum", |n| must(runtime.block_on(client::find_by_http_at_once(&mut many_to_peer, n))))
                .served_by(&peer),
            side(who, |n| must(runtime.block_on(client::find_by_http_at_once(&mut many_to_other, n))))
                .served_by(&other),
        );
    }

    placement.together(&[&peer])?;
    let kit = runtime.block_on(async { connect("http", &peer) })?;
    table.compare(
        "HTTP client, GET, one at a time",
        side("hyper", |n| must(runtime.block_on(client::find_and_read(&mut to_peer, n)))),
        side("kit", |n| must(runtime.block_on(client::find_by_kit(&kit, n)))),
    );
    Ok(())
}

fn connect(scheme: &str, server: &ServerThread) -> Result<ShelfClient, Failure> {
    Ok(ShelfClient::new(&Channel::new(&format!("{scheme}://{}", server.address()))?))
}
