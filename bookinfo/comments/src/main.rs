//! The comments service as a program of its own.

use std::process::ExitCode;

use bookcomments::{
    app::App,
    config::{Config, SETTINGS},
};
use bookcommon::{Failure, PidFile, Program};
use kit::{config::Loaded, instruments::Instruments, server::shutdown_signal, telemetry::spans};
use tracing::field::display;

/// Unless another was chosen: also for heap profiles on the debug port. `docs/runtime.md` says why.
#[cfg(all(feature = "jemalloc", not(feature = "mimalloc")))]
#[global_allocator]
static ALLOCATOR: kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PROGRAM: Program = Program {
    name: "bookcomments-server",
    version: env!("CARGO_PKG_VERSION"),
    about: "Serves what readers say about books",
    settings: SETTINGS,
};

fn main() -> ExitCode {
    PROGRAM.main(serve)
}

async fn serve(loaded: Loaded<Config>) -> Result<(), Failure> {
    let config = &loaded.config;
    let log = config.log.init_with(spans::layer(tracing::Level::INFO, config.log.secrets()))?;
    let asked_to_stop = shutdown_signal();
    let _pid = PidFile::write(config.pid_file.as_deref())?;
    let instruments = Instruments::builder("comments", &config.telemetry)
        .version(PROGRAM.version)
        .address(config.grpc_addr)
        .log(&log)
        .settings(loaded.settings())
        .start()?;
    let app = App::build(config, instruments).await?;
    app.follow(&loaded)?;
    let server = app.server(config).bind().await?;
    let (http, grpc) = (server.http_addr().map(display), server.grpc_addr().map(display));
    tracing::info!(http, grpc, "serving");
    let ended = server.run(asked_to_stop).await;
    tracing::info!("stopped");
    log.close().await;
    Ok(ended?)
}
