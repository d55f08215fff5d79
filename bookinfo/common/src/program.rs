//! From the command line to the service.

use std::{
    ffi::OsString,
    future::Future,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, Command, value_parser};
use kit::config::{Loaded, Validate};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Failure, Settings, Surroundings};

/// How long what is left on the threads may take when all is done.
const LAST: Duration = Duration::from_secs(1);

/// A server program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name: `bookdetails-server`.
    pub name: &'static str,
    /// Its version: `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// What it does, for `--help`.
    pub about: &'static str,
    /// Where its settings come from.
    pub settings: Settings,
}

impl Program {
    /// Reads flags and settings, then runs `serve` until it is done. This is the whole of `main`.
    ///
    /// Exits with 0 when all went well, 1 when the program could not start, broke off, or had to cut calls at its stop, 2 when
    /// the command line is wrong.
    pub fn main<T, F, Fut>(&self, serve: F) -> ExitCode
    where
        T: Serialize + DeserializeOwned + Default + Validate,
        F: FnOnce(Loaded<T>) -> Fut,
        Fut: Future<Output = Result<(), Failure>>,
    {
        match self.run(std::env::args_os(), &Surroundings::of_process(), serve) {
            Ok(code) => code,
            Err(failure) => {
                // The reader may be gone; there is nobody else to tell.
                for line in failure.to_string().lines() {
                    let _ = writeln!(io::stderr(), "{}: {line}", self.name);
                }
                ExitCode::FAILURE
            }
        }
    }

    fn run<T, F, Fut>(
        &self,
        args: impl IntoIterator<Item = OsString>,
        surroundings: &Surroundings,
        serve: F,
    ) -> Result<ExitCode, Failure>
    where
        T: Serialize + DeserializeOwned + Default + Validate,
        F: FnOnce(Loaded<T>) -> Fut,
        Fut: Future<Output = Result<(), Failure>>,
    {
        let matches = match self.command().try_get_matches_from(args) {
            Ok(matches) => matches,
            Err(answer) => {
                answer.print()?;
                return Ok(ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2)));
            }
        };
        let file = matches.get_one::<PathBuf>("config");
        let loaded = self.settings.load::<T>(file.map(PathBuf::as_path), surroundings)?;
        if matches.get_flag("print-config") {
            writeln!(io::stdout(), "{loaded}")?;
            return Ok(ExitCode::SUCCESS);
        }
        if matches.get_flag("check-config") {
            writeln!(io::stdout(), "the settings are right")?;
            return Ok(ExitCode::SUCCESS);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(serve(loaded));
        // What blocks a thread by now was given its time; the end does not wait for it.
        runtime.shutdown_timeout(LAST);
        served?;
        Ok(ExitCode::SUCCESS)
    }

    fn command(&self) -> Command {
        let prefix = self.settings.prefix;
        Command::new(self.name)
            .version(self.version)
            .about(self.about)
            .after_help(format!(
                "Settings come from config/{{RUN_MODE}}.yaml (RUN_MODE is local or container, local unless set), from .env, \
                 and from the environment: the key database.url is {prefix}_DATABASE_URL. MIGRATE=true|false decides \
                 whether the schema is brought up to date and sample rows are entered at the start."
            ))
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("Read this file in the place of config/{RUN_MODE}.yaml"),
            )
            .arg(
                Arg::new("check-config")
                    .long("check-config")
                    .action(ArgAction::SetTrue)
                    .help("Check the settings and exit: 0 when they are right, 1 otherwise"),
            )
            .arg(
                Arg::new("print-config")
                    .long("print-config")
                    .action(ArgAction::SetTrue)
                    .conflicts_with("check-config")
                    .help("Print each setting with where it comes from, and exit"),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        let settings = Settings { prefix: "APP", folder: "", local: "", container: "" };
        Program { name: "app", version: "1", about: "", settings }.command().debug_assert();
    }
}
