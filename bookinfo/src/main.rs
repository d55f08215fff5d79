//! The quick start: both services in one process, with nothing to configure.

use std::{
    fs,
    io::{self, Write as _},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use bookcommon::{Failure, Surroundings};
use bookinfo::{BookInfo, Config, hints};
use clap::Parser;
use kit::{server::shutdown_signal, telemetry::spans};

/// How long what is left on the threads may take when all is done.
const LAST: Duration = Duration::from_secs(1);

/// Unless another was chosen: also for heap profiles on the debug port. `docs/runtime.md` says why.
#[cfg(all(feature = "jemalloc", not(feature = "mimalloc")))]
#[global_allocator]
static ALLOCATOR: kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs both services of BookInfo, details on the ports 5001 (HTTP) and 5002 (gRPC), comments on 5011 and 5012.
///
/// Nothing has to be configured. Everything can be, by the environment: BOOKDETAILS_DATABASE_URL, BOOKCOMMENTS_HTTP_ADDR
/// and so on; `bookdetails-server --print-config` lists what there is.
#[derive(Debug, Parser)]
#[command(name = "bookinfo", version)]
struct Args {
    /// Keep the databases as files in this folder [default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Serve at this address of the machine; 0.0.0.0 for all of them [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    host: Option<IpAddr>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.to_string().lines() {
                // The reader may be gone; there is nobody else to tell.
                let _ = writeln!(io::stderr(), "bookinfo: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let mut config = Config::load(&Surroundings::of_process())?;
    if let Some(host) = args.host {
        config.listen_at(host);
    }
    if let Some(folder) = &args.data_dir {
        fs::create_dir_all(folder).map_err(|error| format!("--data-dir {}: {error}", folder.display()))?;
        config.keep_in(folder);
    }
    let log = config.details.log.init_with(spans::layer(tracing::Level::INFO, config.details.log.secrets()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let asked_to_stop = shutdown_signal();
        let bookinfo = BookInfo::start(config, Some(&log)).await?;
        // The log may be read by a program: what is meant for people goes beside it. There may be nobody who reads it.
        let _ = writeln!(io::stderr(), "\n{}", hints(&bookinfo.addresses()));
        let ended = bookinfo.run(asked_to_stop).await;
        tracing::info!("stopped");
        log.close().await;
        ended
    });
    // What blocks a thread by now was given its time; the end does not wait for it.
    runtime.shutdown_timeout(LAST);
    served
}
