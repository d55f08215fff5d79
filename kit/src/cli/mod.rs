//! The command line of a service: one subcommand a method, one flag a field.
//!
//! ```no_run
//! # fn main_of<BookDetailsEndpoints: kit::Endpoints>() -> std::process::ExitCode {
//! // fn main() -> std::process::ExitCode {
//! kit::cli::Cli::new("bookdetails")
//!     .grpc_addr("127.0.0.1:5002")
//!     .http_addr("127.0.0.1:5001")
//!     .service::<BookDetailsEndpoints>()
//!     .main()
//! // }
//! # }
//! ```
//!
//! Answers go to stdout as JSON, pretty on a terminal, else one line each; errors go to stderr. Exit codes:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the call succeeded |
//! | 1 | the service answered with an error |
//! | 2 | the command line was wrong; nothing was sent |
//! | 3 | the service could not be reached |

use std::{ffi::OsString, process::ExitCode};

use base64::Engine as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::Shell;

use crate::{
    Code, Context, Endpoints, Error, ServiceInfo,
    client::{Channel, ClientConfig},
    duration,
};

mod describe;
mod flags;
mod input;
mod output;
mod run;

use run::{CallResult, Run};

/// The command line of one or more services: see the [module](self).
#[derive(Debug)]
pub struct Cli {
    name: &'static str,
    version: Option<&'static str>,
    grpc_addr: String,
    http_addr: String,
    services: Vec<CliService>,
}

#[derive(Debug)]
struct CliService {
    info: &'static ServiceInfo,
    run: fn(&Channel, Run<'_>) -> Option<CallResult>,
}

/// What went wrong, and so how the process ends.
enum Failure {
    Usage(String),
    Call(Error),
    Unreachable(String, Error),
    Output(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl Cli {
    /// The command line of a program.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            version: None,
            grpc_addr: "127.0.0.1:50051".to_owned(),
            http_addr: "127.0.0.1:8080".to_owned(),
            services: Vec::new(),
        }
    }

    /// Where the service is called by gRPC without `--addr`: `host:port`. Default: `127.0.0.1:50051`.
    #[must_use]
    pub fn grpc_addr(mut self, address: impl Into<String>) -> Self {
        self.grpc_addr = address.into();
        self
    }

    /// Where the service is called by HTTP without `--addr`: `host:port`. Default: `127.0.0.1:8080`.
    #[must_use]
    pub fn http_addr(mut self, address: impl Into<String>) -> Self {
        self.http_addr = address.into();
        self
    }

    /// What `--version` prints; pass `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }

    /// Adds a service. The methods of one service are subcommands; of several, each service is a subcommand that has them.
    #[must_use]
    pub fn service<E: Endpoints>(mut self) -> Self {
        self.services.push(CliService {
            info: E::SERVICE,
            run: |channel, mut run| {
                E::connect(channel).visit(&mut run);
                run.finish()
            },
        });
        self
    }

    /// Reads the process's arguments, calls, prints, and says how the process ends.
    ///
    /// Makes a runtime of its own, so it is called from a plain `main`.
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// As [`Cli::main`], with other arguments, the first of which is the name of the program.
    pub fn run(self, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        let mut command = match self.command() {
            Ok(command) => command,
            Err(error) => return output::fail(&Failure::Call(error)),
        };
        let matches = match command.try_get_matches_from_mut(args) {
            Ok(matches) => matches,
            Err(error) => {
                // Help and version are no errors; clap knows which stream each goes to.
                let _ = error.print();
                return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            }
        };
        if let Some(("completions", chosen)) = matches.subcommand() {
            if let Some(shell) = chosen.get_one::<Shell>("shell") {
                clap_complete::generate(*shell, &mut command, self.name, &mut std::io::stdout());
            }
            return ExitCode::SUCCESS;
        }
        match self.call(&matches) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => output::fail(&failure),
        }
    }

    fn call(&self, matches: &ArgMatches) -> Result<(), Failure> {
        let (service, method, flags) = match (self.services.as_slice(), matches.subcommand()) {
            ([service], Some((method, flags))) => (service, method, flags),
            (services, Some((name, inner))) => {
                let service = services.iter().find(|service| describe::service_command(service.info) == name);
                match (service, inner.subcommand()) {
                    (Some(service), Some((method, flags))) => (service, method, flags),
                    _ => return Err(Failure::Usage("name a service and a method".to_owned())),
                }
            }
            (_, None) => return Err(Failure::Usage("name a method".to_owned())),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Output)?;
        runtime.block_on(async {
            let (address, channel) = self.channel(matches)?;
            let run = Run::new(method, flags, context(matches)?, matches.get_flag("verbose"));
            match (service.run)(&channel, run) {
                Some(call) => call.await.map_err(|failure| match failure {
                    Failure::Call(error) if Failure::is_unreachable(&error) => Failure::Unreachable(address, error),
                    failure => failure,
                }),
                None => Err(Failure::Usage(format!("there is no method {method}"))),
            }
        })
    }

    fn channel(&self, matches: &ArgMatches) -> Result<(String, Channel), Failure> {
        let transport = matches.get_one::<String>("transport").map(String::as_str);
        let given = matches.get_one::<String>("addr");
        let address = match given {
            Some(address) if address.contains("://") => {
                if transport.is_some_and(|transport| !address.starts_with(transport)) {
                    return Err(Failure::Usage(format!("--addr {address} and --transport contradict each other")));
                }
                address.clone()
            }
            Some(address) => format!("{}://{address}", transport.unwrap_or("grpc")),
            None if transport == Some("http") => format!("http://{}", self.http_addr),
            None => format!("grpc://{}", self.grpc_addr),
        };
        let config = client_config(matches)?;
        #[cfg(feature = "tls")]
        if config.tls.is_none() && (address.starts_with("https:") || address.starts_with("grpcs:")) {
            return Err(Failure::Usage(format!("--addr {address}: say by --ca FILE whose certificates to trust")));
        }
        let channel = Channel::with_config(&address, &config);
        let channel = channel.map_err(|e| Failure::Usage(format!("--addr: {}", e.message())))?;
        Ok((address, channel))
    }

    fn command(&self) -> Result<Command, Error> {
        let mut command = Command::new(self.name)
            .subcommand_required(true)
            .arg_required_else_help(true)
            .disable_help_subcommand(true)
            .args(global_args(&self.grpc_addr, &self.http_addr));
        if let Some(version) = self.version {
            command = command.version(version);
        }
        for service in &self.services {
            let described = describe::service(service.info)?;
            if let [_] = self.services.as_slice() {
                command = command.about(described.about).subcommands(described.methods);
            } else {
                let name = describe::service_command(service.info);
                let inner = Command::new(name).about(described.about).subcommands(described.methods);
                command = command.subcommand(inner.subcommand_required(true).arg_required_else_help(true));
            }
        }
        Ok(command.subcommand(
            Command::new("completions")
                .about("Prints a completion script for a shell")
                .arg(Arg::new("shell").required(true).value_parser(clap::value_parser!(Shell))),
        ))
    }
}

const CALLING: &str = "How to call";

fn global_args(grpc: &str, http: &str) -> Vec<Arg> {
    let args = [
        Arg::new("addr").long("addr").value_name("ADDRESS").help(format!(
            "Where the service is: host:port, or with a scheme grpc, grpcs, http, https [default: grpc://{grpc}, or http://{http} with --transport http]"
        )),
        Arg::new("transport").long("transport").value_parser(["grpc", "http"]).help("How to call it [default: grpc]"),
        Arg::new("header")
            .short('H')
            .long("header")
            .value_name("NAME: VALUE")
            .action(ArgAction::Append)
            .help("Metadata to send; may be repeated"),
        Arg::new("timeout")
            .long("timeout")
            .value_name("TIME")
            .value_parser(duration::parse)
            .help("How long to wait, as 500ms, 2s or 1m [default: as long as the service takes]"),
        Arg::new("verbose")
            .short('v')
            .long("verbose")
            .action(ArgAction::SetTrue)
            .help("Prints the metadata of the answer to stderr"),
        #[cfg(feature = "tls")]
        Arg::new("ca").long("ca").value_name("FILE").help("The authority that the service's certificate comes from (PEM)"),
        #[cfg(feature = "tls")]
        Arg::new("cert").long("cert").value_name("FILE").requires_all(["key", "ca"]).help("A certificate to show (PEM)"),
        #[cfg(feature = "tls")]
        Arg::new("key").long("key").value_name("FILE").requires_all(["cert", "ca"]).help("The key of the certificate (PEM)"),
    ];
    args.into_iter().map(|arg| arg.global(true).help_heading(CALLING)).collect()
}

fn client_config(matches: &ArgMatches) -> Result<ClientConfig, Failure> {
    #[allow(unused_mut, reason = "without TLS there is nothing to set")]
    let mut config = ClientConfig { max_response_size: usize::MAX, ..ClientConfig::default() };
    #[cfg(feature = "tls")]
    {
        let read = |name: &str| match matches.get_one::<String>(name) {
            Some(file) => std::fs::read(file).map(Some).map_err(|e| Failure::Usage(format!("--{name} {file}: {e}"))),
            None => Ok(None),
        };
        if let Some(authority) = read("ca")? {
            let tls = crate::client::ClientTls::new(authority);
            config.tls = Some(match (read("cert")?, read("key")?) {
                (Some(chain), Some(key)) => tls.with_identity(chain, key),
                _ => tls,
            });
        }
    }
    let _ = matches;
    Ok(config)
}

fn context(matches: &ArgMatches) -> Result<Context, Failure> {
    let mut cx = Context::background();
    if let Some(timeout) = matches.get_one::<std::time::Duration>("timeout") {
        cx = cx.with_timeout(*timeout);
    }
    for header in matches.get_many::<String>("header").into_iter().flatten() {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::Usage(format!("-H {header:?}: write it as 'name: value'")))?;
        let name = name.trim().to_ascii_lowercase();
        if name == crate::RequestId::HEADER {
            let id = crate::RequestId::parse(value.trim());
            cx = cx.with_request_id(id.ok_or_else(|| Failure::Usage(format!("-H {header:?}: not a request id")))?);
            continue;
        }
        let sent = if name.ends_with("-bin") {
            let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(value.trim().trim_end_matches('='));
            let bytes =
                bytes.map_err(|_| Failure::Usage(format!("-H {header:?}: a name in -bin has its value in base64")))?;
            cx.with_outgoing_bin(&name, &bytes)
        } else {
            cx.with_outgoing(&name, value.trim())
        };
        cx = sent.map_err(|e| Failure::Usage(format!("-H {header:?}: {}", e.message())))?;
    }
    Ok(cx)
}

impl Failure {
    /// Whether nobody was there: an error that was made on this side.
    fn is_unreachable(error: &Error) -> bool {
        error.code() == Code::Unavailable && std::error::Error::source(error).is_some()
    }
}
