use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Violations};

/// The most threads that can be asked for: a figure above is a mistake, and each takes a stack and an `epoll` instance.
const MOST: usize = 1024;

/// On which threads connections are served and handlers run.
///
/// The server is used in the same way whatever it is: [`bind`](super::super::Server::bind) and
/// [`run`](super::super::BoundServer::run) are called on the program's runtime, where checks, admin ports, hooks and what the
/// program has spawned stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// On the runtime that runs the server, mostly one of Tokio's with many threads: a connection that has something to do goes
    /// to a thread that has nothing to do. For handlers of uneven length, and for those that block now and then. The default.
    #[default]
    MultiThread,
    /// On threads of their own, one for each core, each with a runtime and listeners of its own. A connection stays with its
    /// thread, so nothing is woken across cores, and what is written in one turn goes out together. For many short calls. A
    /// handler that blocks, or computes for long, stalls all connections of its core.
    ThreadPerCore,
}

/// The threads of [`RuntimeKind::ThreadPerCore`]; of no effect otherwise.
///
/// ```
/// use kit::server::{CoresConfig, RuntimeKind, Server, ServerConfig};
///
/// let config = ServerConfig {
///     runtime: RuntimeKind::ThreadPerCore,
///     cores: CoresConfig { threads: Some(4.try_into().unwrap()), ..CoresConfig::default() },
///     ..ServerConfig::default()
/// };
/// let server = Server::new().config(config);
/// # drop(server);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoresConfig {
    /// How many threads. Default: none given, which is as many as the process may use at a time
    /// ([`std::thread::available_parallelism`], which knows of CPU affinity and cgroup quotas).
    pub threads: Option<NonZeroUsize>,
    /// Whether each thread is kept on one core, of those that the process may use. Linux and Android only. Default: no, because
    /// a core that others use, too, would then be waited for while another is idle; worth it where cores are given to the
    /// process alone.
    pub pin: bool,
    /// Whether each thread takes connections from a listener of its own (`SO_REUSEPORT`, among which the kernel chooses by a
    /// hash of the addresses). Otherwise the runtime that runs the server takes all and deals them out, which evens out
    /// exactly, and costs a change of threads for each connection. Only Linux and Android spread connections so; elsewhere it
    /// is always the second. Default: yes.
    pub reuse_port: bool,
}

impl Default for CoresConfig {
    fn default() -> Self {
        Self { threads: None, pin: false, reuse_port: true }
    }
}

impl CoresConfig {
    pub(in crate::server) fn number(&self) -> usize {
        // Where the system does not tell, one is right for sure.
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok());
        threads.map_or(1, NonZeroUsize::get).min(MOST)
    }

    /// How many listeners there are on each port.
    pub(in crate::server) fn listeners(&self) -> usize {
        if self.own_listeners() { self.number() } else { 1 }
    }

    pub(super) fn own_listeners(&self) -> bool {
        self.reuse_port && cfg!(any(target_os = "linux", target_os = "android"))
    }
}

impl Validate for CoresConfig {
    fn validate(&self, report: &mut Violations) {
        let too_many = self.threads.is_some_and(|threads| threads.get() > MOST);
        report.require(!too_many, "threads", "is more than 1024: one for each core is enough");
    }
}
