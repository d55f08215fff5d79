//! The command line of the comments service: `bookcomments get --id 1`.

use std::process::ExitCode;

use bookcomments::proto::comments::BookCommentsEndpoints;
use kit::cli::Cli;

fn main() -> ExitCode {
    Cli::new("bookcomments")
        .version(env!("CARGO_PKG_VERSION"))
        .grpc_addr("127.0.0.1:5012")
        .http_addr("127.0.0.1:5011")
        .service::<BookCommentsEndpoints>()
        .main()
}
