use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;

/// Limits and times of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The most connections at a time; more wait in the kernel's queue. Default: 10 000.
    pub max_connections: usize,
    /// How long a client may take to send its headers. Default: 10 s, so that slow clients can't hold connections.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
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
    /// After this time a connection is asked to close, so that clients find new instances. Default: none.
    #[serde(with = "duration::option")]
    pub max_connection_age: Option<Duration>,
    /// How long a stop waits for calls that run. Default: 30 s, as Kubernetes gives a pod.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            max_concurrent_streams: 200,
            max_header_size: 16 * 1024,
            keep_alive: Duration::from_secs(60),
            max_connection_age: None,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
