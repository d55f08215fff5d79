//! The comments service as a program of its own.

use std::process::ExitCode;

use bookcomments::{
    app::App,
    config::{Config, SETTINGS},
};
use bookcommon::{Failure, PidFile, Program};
use kit::server::shutdown_signal;
use tokio_util::sync::CancellationToken;
use tracing::field::display;

const PROGRAM: Program = Program {
    name: "bookcomments-server",
    version: env!("CARGO_PKG_VERSION"),
    about: "Serves what readers say about books",
    settings: SETTINGS,
};

fn main() -> ExitCode {
    PROGRAM.main(serve)
}

async fn serve(config: Config) -> Result<(), Failure> {
    config.log.init()?;
    let asked_to_stop = shutdown_signal();
    let stop = CancellationToken::new();
    let app = App::build(&config, stop.clone()).await?;
    let server = app.server(&config).bind().await?;
    let _pid = PidFile::write(config.pid_file.as_deref())?;
    let (http, grpc) = (server.http_addr().map(display), server.grpc_addr().map(display));
    tracing::info!(http, grpc, "serving");
    let stopping = async {
        asked_to_stop.await;
        stop.cancel();
    };
    server.run(stopping).await?;
    app.close().await;
    tracing::info!("stopped");
    Ok(())
}
