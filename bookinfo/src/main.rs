//! The quick start: both services in one process, with nothing to configure.

use std::{
    fs,
    io::{self, Write as _},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

use bookcommon::{Failure, Surroundings};
use bookinfo::{BookInfo, Config, hints};
use clap::Parser;
use kit::server::shutdown_signal;

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
    config.details.log.init()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let asked_to_stop = shutdown_signal();
        let bookinfo = BookInfo::start(config).await?;
        let mut out = io::stdout();
        writeln!(out, "\n{}", hints(&bookinfo.addresses()))?;
        out.flush()?;
        bookinfo.run(asked_to_stop).await?;
        tracing::info!("stopped");
        Ok(())
    })
}
