//! The command `kit`: what surrounds a running service.

mod health;
mod load;
mod target;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use health::Health;
use target::Target;

/// Ten seconds are an orchestrator's patience for many checks; two are a check's own.
const TIMEOUT: &str = "2s";

/// What surrounds a running service.
#[derive(Debug, Parser)]
#[command(name = "kit", version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks a service whether it is well: exit code 0 if it is, 1 if it is not, 2 if the question is wrong.
    ///
    /// Made for health checks in containers, whose images have no curl.
    Health {
        /// Whom to ask: http://HOST:PORT/PATH (any 2xx is well; without a path: /readyz), or grpc://HOST:PORT (the standard
        /// health service). Without a scheme it is http.
        #[arg(value_name = "URL")]
        target: Target,
        /// Ask about this service, as it is called in its .proto file (gRPC only) [default: all of the server]
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// The longest wait for an answer
        #[arg(long, value_name = "DURATION", default_value = TIMEOUT, value_parser = kit::duration::parse)]
        timeout: Duration,
        /// Ask again until it is well, for this long
        #[arg(long, value_name = "DURATION", value_parser = kit::duration::parse)]
        wait: Option<Duration>,
        /// Say nothing when it is well
        #[arg(short, long)]
        quiet: bool,
    },
    /// Calls a method again and again, as fast as it goes or on a schedule, and says how long the answers took.
    Load(Box<load::Args>),
    /// Prints a script that completes commands and flags in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(answer) => {
            // The reader may be gone; there is nobody else to tell.
            let _ = answer.print();
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
        }
    };
    match args.command {
        Command::Health { target, service, timeout, wait, quiet } => {
            if service.is_some() && !target.is_grpc() {
                return wrong("--service is a question of gRPC: write grpc://HOST:PORT");
            }
            if timeout.is_zero() {
                return wrong("--timeout is 0, in which nobody can answer");
            }
            let health =
                Health { target, service: service.unwrap_or_default(), timeout, wait: wait.unwrap_or_default() };
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return wrong(&format!("cannot start: {error}")),
            };
            match runtime.block_on(health.ask()) {
                Ok(_) if quiet => ExitCode::SUCCESS,
                Ok(well) => {
                    let _ = writeln!(io::stdout(), "{well}");
                    ExitCode::SUCCESS
                }
                Err(ill) => {
                    let _ = writeln!(io::stderr(), "kit: {ill}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Load(args) => match runtime() {
            Ok(runtime) => runtime.block_on(load::run(*args)),
            Err(error) => wrong(&format!("cannot start: {error}")),
        },
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "kit", &mut script);
            let _ = io::stdout().write_all(&script);
            ExitCode::SUCCESS
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn wrong(what: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "kit: {what}");
    ExitCode::from(2)
}
