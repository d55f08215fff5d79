//! Allocations of a call: figures that a busy machine does not change.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::convert::Infallible;

use benches::{
    Failure,
    allocations::{Counting, of_a_call},
    chain, client, http1, must, peer,
    proto::bench::{Book, ShelfClient, ShelfEndpoints},
    runtime, serve, shelf,
};
use bytes::Bytes;
use kit::{
    client::Channel,
    json::{self, Options},
    layer::timeout::TimeoutLayer,
    middleware::StandardStack,
    transport::http::{Body, HttpConfig, HttpTransport},
};
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt as _};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<(), Failure> {
    println!("\nallocations: of a call, and their bytes");
    let runtime = runtime()?;
    endpoints(&runtime);
    messages()?;
    requests(&runtime)?;
    sockets(&runtime)
}

fn print(name: &str, run: impl FnMut(u64)) {
    let (count, bytes) = of_a_call(run);
    println!("{name:48} {count:>6.1} {bytes:>8.0} bytes");
}

fn endpoints(runtime: &Runtime) {
    let bare = ShelfEndpoints::new(chain::nothing()).find;
    let one = bare.clone().layer(TimeoutLayer::server(Some(chain::LIMIT)));
    let standard = bare.clone().with(&StandardStack::default());
    let (handler, three_layers) = (chain::handler(), chain::three_layers());
    print("endpoint: the function itself", |n| must(runtime.block_on(chain::call_function(n))));
    print("endpoint: tower, 0 layers", |n| must(runtime.block_on(chain::call_tower(&handler, n))));
    print("endpoint: tower, 3 layers", |n| must(runtime.block_on(chain::call_tower(&three_layers, n))));
    for (name, endpoint) in [("0 layers", bare), ("1 layer", one), ("standard chain", standard)] {
        print(&format!("endpoint: kit, {name}"), |n| must(runtime.block_on(chain::call_endpoint(&endpoint, n))));
    }
}

fn messages() -> Result<(), Failure> {
    let (book, options) = (shelf::book(serve::CHAPTERS), Options::default());
    let text = json::to_vec(&book, &options)?;
    let derived: peer::json::Book = serde_json::from_slice(&text)?;
    print("JSON: derive, encode", |n| repeat(n, || must(serde_json::to_vec(&derived))));
    print("JSON: kit, encode", |n| repeat(n, || must(json::to_vec(&book, &options))));
    print("JSON: derive, decode", |n| repeat(n, || must(serde_json::from_slice::<peer::json::Book>(&text))));
    print("JSON: kit, decode", |n| repeat(n, || must(json::from_slice::<Book>(&text, &options))));
    Ok(())
}

fn repeat<T>(count: u64, mut call: impl FnMut() -> T) {
    for _ in 0..count {
        std::hint::black_box(call());
    }
}

fn requests(runtime: &Runtime) -> Result<(), Failure> {
    let axum = peer::axum::router(serve::peer_book()?);
    let bare = HttpTransport::new(serve::plain()).service(&serve::bare()).build()?;
    let standard = HttpTransport::new(HttpConfig::default()).service(&serve::standard()).build()?;
    let stored = Bytes::from(json::to_string(&shelf::book(serve::CHAPTERS))?);
    let (find, store) = (|| must(http1::find()), || must(http1::store(&stored)));
    print("HTTP in memory: axum, GET", |n| answer(runtime, &axum, find, n));
    print("HTTP in memory: kit bare, GET", |n| answer(runtime, &bare, find, n));
    print("HTTP in memory: kit as it comes, GET", |n| answer(runtime, &standard, find, n));
    print("HTTP in memory: axum, POST", |n| answer(runtime, &axum, store, n));
    print("HTTP in memory: kit bare, POST", |n| answer(runtime, &bare, store, n));
    print("HTTP in memory: kit as it comes, POST", |n| answer(runtime, &standard, store, n));
    Ok(())
}

fn answer<S>(runtime: &Runtime, service: &S, request: impl Fn() -> http::Request<Body>, count: u64)
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone,
{
    runtime.block_on(async {
        for _ in 0..count {
            must(http1::in_memory(service.clone().oneshot(request()).await).await);
        }
    });
}

fn sockets(runtime: &Runtime) -> Result<(), Failure> {
    let tonic = serve::tonic()?;
    let servers = [
        ("tonic", tonic.clone()),
        ("kit bare", serve::kit_grpc(serve::bare())?),
        ("kit as it comes", serve::kit_grpc(serve::standard())?),
    ];
    for (name, server) in servers {
        let to = runtime.block_on(client::tonic(server.address()))?;
        print(&format!("gRPC: {name}, with tonic's client"), |n| must(runtime.block_on(client::find_by_tonic(&to, n))));
    }
    let channel = runtime.block_on(async { Channel::new(&format!("grpc://{}", tonic.address())) })?;
    let kit = ShelfClient::new(&channel);
    print("gRPC: tonic, with the kit's client", |n| must(runtime.block_on(client::find_by_kit(&kit, n))));

    let axum = serve::axum()?;
    let servers = [
        ("axum", axum.clone()),
        ("kit bare", serve::kit_http(serve::bare(), serve::plain())?),
        ("kit as it comes", serve::kit_http(serve::standard(), HttpConfig::default())?),
    ];
    for (name, server) in servers {
        let mut to = runtime.block_on(http1::Connection::open(server.address()))?;
        let run = |n| must(runtime.block_on(client::find_by_http(&mut to, n)));
        print(&format!("HTTP: {name}, with hyper's client, GET"), run);
    }
    let channel = runtime.block_on(async { Channel::new(&format!("http://{}", axum.address())) })?;
    let kit = ShelfClient::new(&channel);
    print("HTTP: axum, with the kit's client, GET", |n| must(runtime.block_on(client::find_by_kit(&kit, n))));
    Ok(())
}
