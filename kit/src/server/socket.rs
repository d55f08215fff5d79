//! What sockets are told: options of ports, and of the connections that come to them.

use std::{io, net, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

use crate::{
    duration,
    validate::{Validate, Violations},
};

/// How long after an unanswered probe the next one is sent, and how many are: Go's and Linux's figures. A peer that is gone is
/// known after `keepalive` and 135 s.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
#[cfg(not(any(target_os = "openbsd", target_os = "redox", target_os = "solaris")))]
const PROBES: u32 = 9;

/// Options of sockets. `SO_REUSEADDR` is always set, except on Windows, where it means something else: a server that was
/// restarted has its port at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketConfig {
    /// How many connections may wait in the queue of a port. The kernel allows `net.core.somaxconn` at most, and drops what comes
    /// to a full queue, which costs a client a second. Default: 4096, which is what Linux allows unless told otherwise, and
    /// what Go asks for there; Tokio asks for 1024.
    pub backlog: u32,
    /// Whether what is written goes out at once (`TCP_NODELAY`), not when what went out before is acknowledged: with
    /// delayed acknowledgements that would be 40 ms later. Default: yes, as Go and gRPC have it.
    pub no_delay: bool,
    /// After how long a silence the kernel asks whether the peer is still there (`SO_KEEPALIVE`, `TCP_KEEPIDLE`); then every 15 s,
    /// nine times. It finds what nothing else does: the end of a machine that waits for a stream over HTTP/1.1 with nothing
    /// in it. HTTP/2 has pings of its own. Default: 60 s, as [`keep_alive`](super::ServerConfig::keep_alive); none turns it off.
    #[serde(with = "duration::option")]
    pub keepalive: Option<Duration>,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self { backlog: 4096, no_delay: true, keepalive: Some(Duration::from_secs(60)) }
    }
}

impl Validate for SocketConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(
            self.backlog > 0,
            "backlog",
            "is zero: every connection would be dropped that is not taken at once",
        );
        report.require(self.backlog <= i32::MAX as u32, "backlog", "is more than a system can be told");
        // The kernel counts in whole seconds.
        let short = self.keepalive.is_some_and(|idle| idle < Duration::from_secs(1));
        report.require(!short, "keepalive", "is less than a second; null turns it off");
    }
}

impl SocketConfig {
    /// Tells a connection. What a system refuses is not worth losing the connection for.
    pub(super) fn tell(&self, stream: &tokio::net::TcpStream) {
        let socket = SockRef::from(stream);
        let mut refused = Vec::new();
        refused.extend(socket.set_tcp_nodelay(self.no_delay).err());
        if let Some(idle) = self.keepalive {
            let probes = TcpKeepalive::new().with_time(idle).with_interval(PROBE_INTERVAL);
            #[cfg(not(any(target_os = "openbsd", target_os = "redox", target_os = "solaris")))]
            let probes = probes.with_retries(PROBES);
            refused.extend(socket.set_tcp_keepalive(&probes).err());
        }
        for error in refused {
            // Mostly a connection that is gone already.
            tracing::debug!(%error, "an option of a connection could not be set");
        }
    }

    /// Takes a port, `number` times: the first of the addresses that can be had.
    pub(super) async fn listen(&self, address: &str, number: usize) -> io::Result<Vec<net::TcpListener>> {
        let mut last = None;
        for address in tokio::net::lookup_host(address).await? {
            match self.listen_on(address, number) {
                Ok(sockets) => return Ok(sockets),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address")))
    }

    fn listen_on(&self, address: SocketAddr, number: usize) -> io::Result<Vec<net::TcpListener>> {
        // Without SO_REUSEPORT: a second process on the port must be told, not be given some of the connections.
        let first = self.open(address)?;
        self.start(&first, address)?;
        if number < 2 {
            return Ok(vec![first.into()]);
        }
        // From now on others of this user could join; with the check above, only those that ask for it.
        share(&first)?;
        let first: net::TcpListener = first.into();
        // With port 0 the others take the one that the first has got.
        let address = first.local_addr()?;
        let mut all = vec![first];
        for _ in 1..number {
            let socket = self.open(address)?;
            share(&socket)?;
            self.start(&socket, address)?;
            all.push(socket.into());
        }
        Ok(all)
    }

    fn open(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn start(&self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// Never asked: see `CoresConfig::listeners`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn share(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_told_what_is_configured() {
        for config in [SocketConfig::default(), SocketConfig { backlog: 1, no_delay: false, keepalive: None }] {
            let listener = config.listen("127.0.0.1:0", 1).await.unwrap().remove(0);
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let _client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            config.tell(&stream);
            assert_eq!(stream.nodelay().unwrap(), config.no_delay);
            let socket = SockRef::from(&stream);
            assert_eq!(socket.keepalive().unwrap(), config.keepalive.is_some());
            #[cfg(target_os = "linux")]
            if let Some(idle) = config.keepalive {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_INTERVAL);
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_that_is_shared_inside_is_taken_for_others() {
        let config = SocketConfig::default();
        let ours = config.listen("127.0.0.1:0", 3).await.unwrap();
        let address = ours[0].local_addr().unwrap();
        assert!(ours.iter().all(|socket| socket.local_addr().unwrap() == address));
        for number in [1, 3] {
            let error = config.listen(&address.to_string(), number).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }
}
