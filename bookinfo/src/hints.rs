//! What there is to try.

use crate::{Addresses, run::reachable};

/// Lines to copy into another terminal.
pub fn hints(addresses: &Addresses) -> String {
    let details_http = reachable(addresses.details_http);
    let details_grpc = reachable(addresses.details_grpc);
    let comments_http = reachable(addresses.comments_http);
    let comments_grpc = reachable(addresses.comments_grpc);
    let inside = inside(addresses);
    format!(
        "\
BookInfo runs; Ctrl-C stops it.

  details     http://{details_http}    gRPC {details_grpc}    page http://{details_http}/docs/
  comments    http://{comments_http}    gRPC {comments_grpc}    page http://{comments_http}/docs/
{inside}
Try in another terminal:

  curl 'http://{details_http}/v1/detail?id=1'
  curl 'http://{comments_http}/v1/get?id=1'
  curl -N 'http://{comments_http}/v1/watch?id=1'
  curl -H 'content-type: application/json' -d '{{\"id\": 1, \"content\": \"Read it twice.\"}}' 'http://{comments_http}/v1/post'

The same by gRPC, from the command lines that are made of the .proto files:

  cargo run -q --release -p bookdetails --bin bookdetails -- --addr {details_grpc} detail --id 1
  cargo run -q --release -p bookcomments --bin bookcomments -- --addr {comments_grpc} watch --id 1
"
    )
}

/// Where to look inside, as far as there is something to look at.
fn inside(addresses: &Addresses) -> String {
    let mut text = String::new();
    for (name, debug, metrics) in [
        ("details ", addresses.details_debug, addresses.details_metrics),
        ("comments", addresses.comments_debug, addresses.comments_metrics),
    ] {
        let debug = debug.map(|addr| format!("    debug http://{}/debug/", reachable(addr)));
        let metrics = metrics.map(|addr| format!("    metrics http://{}/metrics", reachable(addr)));
        if debug.is_some() || metrics.is_some() {
            text += &format!("  {name}{}{}\n", debug.unwrap_or_default(), metrics.unwrap_or_default());
        }
    }
    text
}
