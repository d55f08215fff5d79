//! A port that connections are taken from.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;

use super::{
    ServeError,
    connection::Connections,
    port::{App, Protocols},
};

/// How long to wait after a failed accept: the cause is mostly a lack of file descriptors, which only time mends.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    protocols: Protocols,
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
            app,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    #[cfg(feature = "tls")]
    pub(super) fn with_tls(mut self, tls: Option<super::tls::Acceptor>) -> Self {
        self.tls = tls;
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

    /// Takes connections until it is dropped.
    ///
    /// # Errors
    /// When the socket itself is broken, so that no waiting helps.
    pub(super) async fn accept(self, connections: Connections) -> Result<(), ServeError> {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    // After the accept: a port that waits for connections must not hold the permit that another one needs.
                    let permit = connections.permit().await;
                    let _ = stream.set_nodelay(true);
                    #[cfg(feature = "tls")]
                    if let Some(tls) = &self.tls {
                        connections.serve_tls(tls.clone(), stream, peer, self.app.clone(), permit);
                        continue;
                    }
                    connections.serve(stream, peer, self.app.clone(), permit);
                }
                Err(error) if is_for_good(&error) => return Err(ServeError::listener(self.address, error)),
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
