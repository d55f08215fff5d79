use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CoresConfig, HealthConfig, RuntimeKind, SocketConfig};
use crate::{
    duration,
    validate::{Validate, Violations},
};

/// Threads, sockets, and limits and times of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// On which threads calls run. Default: `multi_thread`, on those of the runtime that runs the server.
    pub runtime: RuntimeKind,
    /// The threads of `thread_per_core`.
    pub cores: CoresConfig,
    /// Options of sockets.
    pub socket: SocketConfig,
    /// The most connections at a time; more wait in the kernel's queue, at a stop for one that ends. Default: 10 000.
    pub max_connections: usize,
    /// How long a client may take to say its first words. Over HTTP/1 also how long a connection may wait, at most twice: for the rest
    /// of the headers, and for the next request. Default: 10 s, so that slow clients can't hold connections.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long a client may take no byte of what is sent to it; then its connection ends, and the calls on it are cut. A stream of
    /// HTTP/2 whose window is shut for so long ends by itself. Default: 60 s, as nginx has it (`send_timeout`); 0 waits for ever.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// How long a TLS handshake may take. Default: 10 s.
    #[serde(with = "duration")]
    pub handshake_timeout: Duration,
    /// The most calls at a time on one HTTP/2 connection. Default: 200, as hyper has it against rapid resets.
    pub max_concurrent_streams: u32,
    /// The most bytes of headers. Default: 16 KiB, as hyper has it for HTTP/2.
    pub max_header_size: u32,
    /// How often an idle HTTP/2 connection is pinged. Default: 60 s; a peer that is silent for 20 s is dropped.
    #[serde(with = "duration")]
    pub keep_alive: Duration,
    /// After this time, less up to a tenth, a connection is asked to close, so that clients find new instances; its calls
    /// have `drain_timeout` to end. Default: none.
    #[serde(with = "duration::option")]
    pub max_connection_age: Option<Duration>,
    /// How long a stop goes on serving while health says NOT_SERVING and HTTP/1.1 answers say `connection: close`, so that
    /// balancers and clients turn away before ports close. Default: none; behind a balancer, longer than its checks take.
    #[serde(with = "duration")]
    pub shutdown_delay: Duration,
    /// How long a stop waits for calls and background tasks that run; then they are cut, and the exit says so. Default: 25 s, of
    /// the 30 s that Kubernetes gives a pod; with a `shutdown_delay` or hooks that take their time, give the pod the sum and some
    /// seconds.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How the server finds out whether it is well.
    pub health: HealthConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            runtime: RuntimeKind::default(),
            cores: CoresConfig::default(),
            socket: SocketConfig::default(),
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            max_concurrent_streams: 200,
            max_header_size: 16 * 1024,
            keep_alive: Duration::from_secs(60),
            max_connection_age: None,
            shutdown_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
            health: HealthConfig::default(),
        }
    }
}

/// Refuses settings with which nothing could be served.
impl Validate for ServerConfig {
    fn validate(&self, report: &mut Violations) {
        let zeros = [
            ("max_connections", self.max_connections == 0),
            ("max_concurrent_streams", self.max_concurrent_streams == 0),
            ("max_header_size", self.max_header_size == 0),
            ("header_timeout", self.header_timeout.is_zero()),
            ("handshake_timeout", self.handshake_timeout.is_zero()),
            ("keep_alive", self.keep_alive.is_zero()),
            ("max_connection_age", self.max_connection_age.is_some_and(|age| age.is_zero())),
        ];
        for (key, zero) in zeros {
            report.require(!zero, key, "is zero: nothing could be served");
        }
        report.section("cores", &self.cores);
        report.section("socket", &self.socket);
        report.section("health", &self.health);
    }
}
