//! A port that connections are taken from.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::CancellationToken;

use super::{
    ServeError,
    connection::Connections,
    port::{App, Protocols},
};

/// How long to wait after a failed accept: the cause is mostly a lack of file descriptors, which only time mends.
const PAUSE: Duration = Duration::from_millis(100);

/// The most connections that are taken from the queue of a port that closes: as many as Linux keeps there unless told otherwise
/// (`net.core.somaxconn`). More come only while it is emptied, and then there is no end.
const QUEUE: usize = 4096;

pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    protocols: Protocols,
    served: Served,
}

/// What its connections get.
struct Served {
    app: App,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::Acceptor>,
}

/// A socket that does not listen (any more) says EINVAL or EOPNOTSUPP. Whatever else fails, a lack of descriptors or memory,
/// or the network below one connection, may be over with the next.
fn is_for_good(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

impl Listener {
    pub(super) async fn bind(address: &str, protocols: Protocols, app: App) -> Result<Self, ServeError> {
        let refused = |e| ServeError::bind(address, e);
        // Without SO_REUSEPORT: a second process on the port must be told, not be given half of the connections.
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self {
            socket,
            address,
            protocols,
            served: Served {
                app,
                #[cfg(feature = "tls")]
                tls: None,
            },
        })
    }

    #[cfg(feature = "tls")]
    pub(super) fn with_tls(mut self, tls: Option<super::tls::Acceptor>) -> Self {
        self.served.tls = tls;
        self
    }

    pub(super) fn protocols(&self) -> Protocols {
        self.protocols
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &TcpListener {
        &self.socket
    }

    /// Takes connections until `stop`, then those that are in the queue of the port: their clients are connected, and have sent
    /// their requests. The port closes when this is done.
    ///
    /// # Errors
    /// When the socket itself is broken, so that no waiting helps.
    pub(super) async fn accept(self, connections: Connections, stop: CancellationToken) -> Result<(), ServeError> {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // After the accept: a port that waits for connections must not hold the permit that another one needs.
                    let permit = stop.run_until_cancelled(connections.permit()).await;
                    self.served.serve(&connections, stream, peer, permit);
                }
                Err(error) if is_for_good(&error) => return Err(ServeError::listener(self.address, error)),
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a connection could not be accepted");
                    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
        let Self { socket, served, address, .. } = self;
        // The kernel itself is asked: Tokio knows only of the connections that it was told of.
        let queue = socket.into_std().map_err(|error| ServeError::listener(address, error))?;
        for _ in 0..QUEUE {
            match queue.accept() {
                Ok((stream, peer)) => {
                    if stream.set_nonblocking(true).is_ok()
                        && let Ok(stream) = TcpStream::from_std(stream)
                    {
                        served.serve(&connections, stream, peer, None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_for_good(&error) => break,
                // One that is gone already; the next may be there.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Served {
    fn serve(
        &self,
        connections: &Connections,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return connections.serve_tls(tls.clone(), stream, peer, self.app.clone(), permit);
        }
        connections.serve(stream, peer, self.app.clone(), permit);
    }
}
