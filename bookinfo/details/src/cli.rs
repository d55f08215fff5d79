//! The command line of the details service: `bookdetails detail --id 1`.

use std::process::ExitCode;

use bookdetails::proto::details::BookDetailsEndpoints;
use kit::cli::Cli;

fn main() -> ExitCode {
    Cli::new("bookdetails")
        .version(env!("CARGO_PKG_VERSION"))
        .grpc_addr("127.0.0.1:5002")
        .http_addr("127.0.0.1:5001")
        .service::<BookDetailsEndpoints>()
        .main()
}
