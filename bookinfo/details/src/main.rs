//! The details service as a program of its own.

use std::process::ExitCode;

use bookcommon::{Failure, PidFile, Program};
use bookdetails::{
    app::App,
    config::{Config, SETTINGS},
};
use kit::server::shutdown_signal;
use tracing::field::display;

const PROGRAM: Program = Program {
    name: "bookdetails-server",
    version: env!("CARGO_PKG_VERSION"),
    about: "Serves books, with what readers say about them",
    settings: SETTINGS,
};

fn main() -> ExitCode {
    PROGRAM.main(serve)
}

async fn serve(config: Config) -> Result<(), Failure> {
    config.log.init()?;
    let asked_to_stop = shutdown_signal();
    let app = App::build(&config).await?;
    let server = app.server(&config).bind().await?;
    let _pid = PidFile::write(config.pid_file.as_deref())?;
    let (http, grpc) = (server.http_addr().map(display), server.grpc_addr().map(display));
    tracing::info!(http, grpc, "serving");
    server.run(asked_to_stop).await?;
    app.close().await;
    tracing::info!("stopped");
    Ok(())
}
