//! The servers that connections are held to.

use std::{path::PathBuf, process::Command};

use super::wire::Protocol;
use crate::{Failure, servers::What, sockets::Process};

/// A server, by its name in [`crate::servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The name.
    pub name: &'static str,
    /// What it speaks.
    pub protocol: Protocol,
}

const fn grpc(name: &'static str) -> Subject {
    Subject { name, protocol: Protocol::Grpc }
}

const fn http1(name: &'static str) -> Subject {
    Subject { name, protocol: Protocol::Http1 }
}

/// The h2 crate by itself.
pub const H2: Subject = grpc("h2");
/// tonic, as its documentation starts it.
pub const TONIC: Subject = grpc("tonic");
/// The kit's gRPC with the full standard chain.
pub const KIT_GRPC: Subject = grpc("kit-grpc");
/// The kit's HTTP/JSON with the full standard chain.
pub const KIT_HTTP: Subject = http1("kit-http");

/// All of them, those that are inside others first.
pub const ALL: [Subject; 7] = [H2, grpc("hyper-http2"), TONIC, KIT_GRPC, http1("hyper"), http1("axum"), KIT_HTTP];

impl Subject {
    /// Starts it on one thread.
    ///
    /// # Errors
    /// When it did not come up.
    pub fn start(self, program: &PathBuf, core: usize) -> Result<Process, Failure> {
        let mut command = Command::new(program);
        command.args([self.name, "--runtime", "current"]);
        Process::start(command, core)
    }

    /// What the servers know it by.
    ///
    /// # Errors
    /// When they do not.
    pub fn what(self) -> Result<What, Failure> {
        self.name.parse()
    }
}
