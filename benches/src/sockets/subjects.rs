use std::process::Command;

use super::{DRIVER_CORE, Process, Subject, profile_folder};
use crate::Failure;

/// The servers of `bench-server`, in the configurations in which they are compared.
#[derive(Debug)]
pub struct Subjects {
    folder: std::path::PathBuf,
    sink: Process,
}

/// The runtime of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// tokio's default: worker threads.
    Multi,
    /// One thread for a core.
    Current,
}

/// The allocator of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// That of the C library.
    System,
    /// mimalloc.
    Mimalloc,
    /// jemalloc.
    Jemalloc,
}

impl Subjects {
    /// Starts what spans are sent to.
    ///
    /// # Errors
    /// When the programs are not there: cargo builds them with the benchmark.
    pub fn new() -> Result<Self, Failure> {
        let folder = profile_folder()?;
        let mut sink = Command::new(folder.join("bench-server"));
        sink.arg("sink");
        Ok(Self { sink: Process::start(sink, DRIVER_CORE)?, folder })
    }

    /// A server of `bench-server` by the name of its kind.
    pub fn server(&self, name: &str, what: &str, runtime: Runtime, allocator: Allocator) -> Subject {
        let (runtime_flag, runtime_name) = match runtime {
            Runtime::Multi => ("multi", "multi-thread"),
            Runtime::Current => ("current", "current-thread"),
        };
        let (program, allocator) = match allocator {
            Allocator::System => ("bench-server", "system allocator"),
            Allocator::Mimalloc => ("bench-server-mimalloc", "mimalloc"),
            Allocator::Jemalloc => ("bench-server-jemalloc", "jemalloc"),
        };
        let mut arguments = [what, "--runtime", runtime_flag].map(str::to_owned).to_vec();
        if matches!(what, "kit-grpc" | "kit-http") {
            arguments.extend(["--collector".to_owned(), format!("http://{}", self.sink.address())]);
        }
        Subject {
            name: name.to_owned(),
            configuration: format!("{runtime_name}, {allocator}"),
            program: self.folder.join(program),
            arguments,
            scheme: if matches!(what, "axum" | "hyper" | "kit-http" | "kit-http-bare") { "http" } else { "grpc" },
        }
    }

    /// The kit over gRPC with the full chain.
    pub fn kit_grpc(&self, name: &str, runtime: Runtime, allocator: Allocator) -> Subject {
        self.server(name, "kit-grpc", runtime, allocator)
    }

    /// tonic.
    pub fn tonic(&self, name: &str, runtime: Runtime) -> Subject {
        self.server(name, "tonic", runtime, Allocator::System)
    }
}

impl Subject {
    /// With more arguments, which the configuration names.
    #[must_use]
    pub fn with(mut self, arguments: &[&str], configuration: &str) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self.configuration = format!("{}, {configuration}", self.configuration);
        self
    }
}
