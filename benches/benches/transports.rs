//! Both transports over loopback sockets against tonic and axum by hand, and the kit's clients against tonic's and hyper's.
//!
//! Of what is compared only one end differs: where servers are compared, the client is tonic's or hyper's for both.

use benches::{
    Failure, client,
    http1::Connection,
    measure::{Table, criterion, side},
    must,
    proto::bench::ShelfClient,
    runtime, serve, shelf,
};
use bytes::Bytes;
use kit::{client::Channel, json, transport::http::HttpConfig};

/// How many calls there are at a time where it is not one.
const AT_ONCE: u64 = 64;

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    let mut table = Table::new("transports", &mut criterion);
    compare_grpc(&mut table)?;
    compare_http(&mut table)?;
    table.finish();
    criterion.final_summary();
    Ok(())
}

fn compare_grpc(table: &mut Table<'_>) -> Result<(), Failure> {
    let runtime = &runtime()?;
    let peer = serve::tonic()?;
    let to_peer = &runtime.block_on(client::tonic(peer.address()))?;
    for (what, endpoints) in [("bare", serve::bare()), ("as it comes", serve::standard())] {
        let kit = serve::kit_grpc(endpoints)?;
        let to_kit = &runtime.block_on(client::tonic(kit.address()))?;
        table.compare(
            format!("gRPC server {what}, one at a time"),
            side("tonic", |n| must(runtime.block_on(client::find_by_tonic(to_peer, n)))).served_by(&peer),
            side("kit", |n| must(runtime.block_on(client::find_by_tonic(to_kit, n)))).served_by(&kit),
        );
        let at_once = |to, n| must(runtime.block_on(client::find_by_tonic_at_once(to, n, AT_ONCE)));
        table.compare(
            format!("gRPC server {what}, {AT_ONCE} at a time"),
            side("tonic", |n| at_once(to_peer, n)).served_by(&peer),
            side("kit", |n| at_once(to_kit, n)).served_by(&kit),
        );
    }

    let kit = runtime.block_on(async { connect("grpc", &peer) })?;
    table.compare(
        "gRPC client, one at a time",
        side("tonic", |n| must(runtime.block_on(client::find_by_tonic(to_peer, n)))),
        side("kit", |n| must(runtime.block_on(client::find_by_kit(&kit, n)))),
    );
    Ok(())
}

fn compare_http(table: &mut Table<'_>) -> Result<(), Failure> {
    let runtime = &runtime()?;
    let peer = serve::axum()?;
    let open = |server: &serve::ServerThread| runtime.block_on(Connection::open(server.address()));
    let open_many = |server: &serve::ServerThread| (0..AT_ONCE).map(|_| open(server)).collect::<Result<Vec<_>, _>>();
    let (mut to_peer, mut many_to_peer) = (open(&peer)?, open_many(&peer)?);
    let stored = &Bytes::from(json::to_string(&shelf::book(serve::CHAPTERS))?);

    let kits = [("bare", serve::bare(), serve::plain()), ("as it comes", serve::standard(), HttpConfig::default())];
    for (what, endpoints, config) in kits {
        let kit = serve::kit_http(endpoints, config)?;
        let (mut to_kit, mut many_to_kit) = (open(&kit)?, open_many(&kit)?);
        table.compare(
            format!("HTTP server {what}, GET, one at a time"),
            side("axum", |n| must(runtime.block_on(client::find_by_http(&mut to_peer, n)))).served_by(&peer),
            side("kit", |n| must(runtime.block_on(client::find_by_http(&mut to_kit, n)))).served_by(&kit),
        );
        table.compare(
            format!("HTTP server {what}, POST, one at a time"),
            side("axum", |n| must(runtime.block_on(client::store_by_http(&mut to_peer, stored, n)))).served_by(&peer),
            side("kit", |n| must(runtime.block_on(client::store_by_http(&mut to_kit, stored, n)))).served_by(&kit),
        );
        table.compare(
            format!("HTTP server {what}, GET, {AT_ONCE} at a time"),
            side("axum", |n| must(runtime.block_on(client::find_by_http_at_once(&mut many_to_peer, n))))
                .served_by(&peer),
            side("kit", |n| must(runtime.block_on(client::find_by_http_at_once(&mut many_to_kit, n)))).served_by(&kit),
        );
    }

    let kit = runtime.block_on(async { connect("http", &peer) })?;
    table.compare(
        "HTTP client, GET, one at a time",
        side("hyper", |n| must(runtime.block_on(client::find_and_read(&mut to_peer, n)))),
        side("kit", |n| must(runtime.block_on(client::find_by_kit(&kit, n)))),
    );
    Ok(())
}

fn connect(scheme: &str, server: &serve::ServerThread) -> Result<ShelfClient, Failure> {
    Ok(ShelfClient::new(&Channel::new(&format!("{scheme}://{}", server.address()))?))
}
