//! What there is to try.

use crate::{Addresses, run::reachable};

/// Lines to copy into another terminal.
pub fn hints(addresses: &Addresses) -> String {
    let details_http = reachable(addresses.details_http);
    let details_grpc = reachable(addresses.details_grpc);
    let comments_http = reachable(addresses.comments_http);
    let comments_grpc = reachable(addresses.comments_grpc);
    format!(
        "\
BookInfo runs; Ctrl-C stops it.

  details     http://{details_http}    gRPC {details_grpc}    page http://{details_http}/docs/
  comments    http://{comments_http}    gRPC {comments_grpc}    page http://{comments_http}/docs/

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
