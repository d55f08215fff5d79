//! A port that connections are taken from.

use std::{io, net, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::CancellationToken;

use super::{
    ServeError,
    connection::Connections,
    port::{App, Protocols},
    runtime::Place,
    socket::SocketConfig,
};

/// How long to wait after a failed accept: the cause is mostly a lack of file descriptors, which only time mends.
const PAUSE: Duration = Duration::from_millis(100);

/// A port, with a socket for each accept loop.
pub(super) struct Listener {
    sockets: Vec<net::TcpListener>,
    address: SocketAddr,
    protocols: Protocols,
    served: Served,
}

/// What its connections get.
#[derive(Clone)]
struct Served {
    app: App,
    socket: SocketConfig,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::Acceptor>,
}

/// One socket of a port.
pub(super) struct Queue {
    socket: net::TcpListener,
    address: SocketAddr,
    served: Served,
}

/// A socket that does not listen (any more) says EINVAL or EOPNOTSUPP. Whatever else fails, a lack of descriptors or memory,
/// or the network below one connection, may be over with the next.
fn is_for_good(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

impl Listener {
    /// Takes a port with so many sockets.
    pub(super) async fn bind(
        address: &str,
        sockets: usize,
        config: &SocketConfig,
        protocols: Protocols,
        app: App,
    ) -> Result<Self, ServeError> {
        let refused = |e| ServeError::bind(address, e);
        let sockets = config.listen(address, sockets).await.map_err(refused)?;
        let first = sockets.first().ok_or_else(|| refused(io::ErrorKind::AddrNotAvailable.into()))?;
        let address = first.local_addr().map_err(refused)?;
        Ok(Self {
            sockets,
            address,
            protocols,
            served: Served {
                app,
                socket: config.clone(),
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
    pub(super) fn sockets(&self) -> &[net::TcpListener] {
        &self.sockets
    }

    /// One for each accept loop.
    pub(super) fn queues(self) -> impl Iterator<Item = Queue> {
        let Self { sockets, address, served, .. } = self;
        sockets.into_iter().map(move |socket| Queue { socket, address, served: served.clone() })
    }
}

impl Queue {
    /// Takes connections until `stop`, then those that are in the queue of the port: their clients are connected, and have sent
    /// their requests. The socket closes when this is done. Connections are served on the runtime of the caller, or on the
    /// core that its place chooses.
    ///
    /// # Errors
    /// When the socket itself is broken, so that no waiting helps.
    pub(super) async fn accept(
        self,
        connections: Connections,
        stop: CancellationToken,
        place: Option<Place>,
    ) -> Result<(), ServeError> {
        let Self { socket, address, served } = self;
        let broken = |error| ServeError::listener(address, error);
        let socket = TcpListener::from_std(socket).map_err(broken)?;
        // A stop must not be over while there are connections in the queue.
        let _token = connections.token();
        let takes = Takes { served, connections, place };
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // After the accept: a port that waits for connections must not hold the permit that another one needs.
                    let permit = stop.run_until_cancelled(takes.connections.permit()).await;
                    takes.take(stream, peer, permit);
                }
                Err(error) if is_for_good(&error) => return Err(broken(error)),
                Err(error) => {
                    tracing::warn!(%error, %address, "a connection could not be accepted");
                    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
        // The kernel itself is asked: Tokio knows only of the connections that it was told of.
        let queue = socket.into_std().map_err(broken)?;
        // As many as there can be. More come only while it is emptied, and then there is no end.
        for _ in 0..takes.served.socket.backlog {
            match queue.accept() {
                Ok((stream, peer)) => {
                    if stream.set_nonblocking(true).is_ok()
                        && let Ok(stream) = TcpStream::from_std(stream)
                    {
                        takes.take(stream, peer, None);
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

/// What an accept loop does with what it takes.
struct Takes {
    served: Served,
    connections: Connections,
    place: Option<Place>,
}

impl Takes {
    fn take(&self, stream: TcpStream, peer: SocketAddr, permit: Option<OwnedSemaphorePermit>) {
        self.served.socket.tell(&stream);
        let Some(place) = &self.place else { return self.served.serve(&self.connections, stream, peer, permit, None) };
        let (seat, other) = place.seat();
        let Some(core) = other else { return self.served.serve(&self.connections, stream, peer, permit, Some(seat)) };
        // A socket belongs to the runtime in which it is registered.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, %peer, "a connection could not be handed to another core"),
        };
        let (served, connections) = (self.served.clone(), self.connections.clone());
        // A stop waits for what is on its way, too.
        let on_its_way = connections.token();
        core.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => served.serve(&connections, stream, peer, permit, Some(seat)),
                Err(error) => tracing::warn!(%error, %peer, "a connection could not be handed to another core"),
            }
            drop(on_its_way);
        });
    }
}

impl Served {
    fn serve(
        &self,
        connections: &Connections,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Option<OwnedSemaphorePermit>,
        seat: Option<super::runtime::Seat>,
    ) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return connections.serve_tls(tls.clone(), stream, peer, self.app.clone(), permit, seat);
        }
        connections.serve(stream, peer, self.app.clone(), permit, seat);
    }
}
