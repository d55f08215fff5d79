//! Connections: how they are served, and how they end.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    ServerConfig,
    calls::{Calls, ConnectionCalls},
    first_bytes::{self, Version},
    http2::{self, Http2},
    port::App,
    runtime::Seat,
    silence::silence,
    until::Until,
    write_timeout::WriteTimeout,
};
use crate::Peer;

#[cfg(test)]
mod tests;

/// How long a stop waits for the first bytes of a connection that was taken: its request may be on its way, or lie unread in the
/// socket, and to close now would lose it. A packet that is lost is sent again after 1 s (RFC 6298).
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// How long connections that were dropped may take to be gone. A handler that blocks its thread can't be dropped at all.
const LAST: Duration = Duration::from_secs(1);

/// Why a connection is not served on.
enum Over {
    Ending,
    Silent,
}

/// All connections of a server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    http1: http1::Builder,
    http2: Http2,
    permits: Arc<Semaphore>,
    calls: Calls,
    tasks: TaskTracker,
    closing: CancellationToken,
    dropped: CancellationToken,
    header_timeout: Duration,
    write_timeout: Duration,
    max_age: Option<Duration>,
    grace: Duration,
    #[cfg(feature = "tls")]
    handshake_timeout: Duration,
}

impl Connections {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let mut http1 = http1::Builder::new();
        let header_size = usize::try_from(config.max_header_size).unwrap_or(usize::MAX);
        http1
            // hyper asks for 8 KiB at least, and the buffer holds the start of a body too.
            .max_buf_size(header_size.max(8 * 1024));
        Self {
            http1,
            http2: Http2::new(config),
            permits: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            calls: Calls::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            dropped: CancellationToken::new(),
            header_timeout: config.header_timeout,
            write_timeout: config.write_timeout,
            max_age: config.max_connection_age,
            grace: config.drain_timeout,
            #[cfg(feature = "tls")]
            handshake_timeout: config.handshake_timeout,
        }
    }

    /// Waits until one more connection may be taken.
    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.permits).acquire_owned().await {
            Ok(permit) => permit,
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// A stop waits for whoever has this, as it does for a connection.
    pub(super) fn token(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    /// Serves a connection in a task of its own, of the runtime in which this is called. Without a permit it waits for one first:
    /// at a stop, when the connections that end make room, and for no longer than calls have to end.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        app: App,
        permit: Option<OwnedSemaphorePermit>,
        seat: Option<Seat>,
    ) {
        let this = self.clone();
        self.spawn(async move {
            let _seat = seat;
            let _permit = this.permit_or(permit).await;
            let peer = Peer { address: Some(peer), ..Peer::default() };
            this.run(stream, peer, app).await;
        });
    }

    #[cfg(feature = "tls")]
    pub(super) fn serve_tls(
        &self,
        tls: super::tls::Acceptor,
        stream: TcpStream,
        address: SocketAddr,
        app: App,
        permit: Option<OwnedSemaphorePermit>,
        seat: Option<Seat>,
    ) {
        let this = self.clone();
        self.spawn(async move {
            let _seat = seat;
            let _permit = this.permit_or(permit).await;
            let handshake = timeout(this.handshake_timeout, tls.accept(stream));
            let stream = tokio::select! {
                result = handshake => match result {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return tracing::debug!(%error, peer = %address, "TLS handshake"),
                    Err(_) => return tracing::debug!(peer = %address, "TLS handshake took too long"),
                },
                () = this.closing_since(FIRST_REQUEST) => return,
            };
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let certificates = certificates.iter().map(|der| der.as_ref().to_vec()).collect();
            let peer = Peer { address: Some(address), certificates };
            this.run(stream, peer, app).await;
        });
    }

    fn spawn(&self, serving: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(Until::new(self.dropped.clone(), serving));
    }

    async fn permit_or(&self, permit: Option<OwnedSemaphorePermit>) -> OwnedSemaphorePermit {
        match permit {
            Some(permit) => permit,
            None => self.permit().await,
        }
    }

    /// Done so long after the stop has come to the connections.
    #[cfg(feature = "tls")]
    async fn closing_since(&self, long: Duration) {
        self.closing.cancelled().await;
        sleep(long).await;
    }

    async fn run<S>(&self, stream: S, peer: Peer, app: App)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = peer.address;
        let (peer, calls) = (Arc::new(peer), self.calls.of_connection());
        let aged = async {
            match self.max_age {
                // A tenth of jitter, so that connections that were made together do not end together.
                Some(age) => sleep(age.mul_f64(1.0 - 0.1 * fastrand::f64())).await,
                None => std::future::pending().await,
            }
        };
        let mut ending = std::pin::pin!(async {
            tokio::select! {
                () = self.closing.cancelled() => {}
                () = aged => {}
            }
        });
        let stream = WriteTimeout::new(stream, self.write_timeout, calls.clone());
        let mut reading = std::pin::pin!(first_bytes::read(stream, self.header_timeout));
        let (read, ends) = tokio::select! {
            // What has arrived is taken before the connection is told to end.
            biased;
            read = reading.as_mut() => (Some(read), false),
            () = ending.as_mut() => (timeout(FIRST_REQUEST, reading).await.ok(), true),
        };
        let (version, stream) = match read {
            Some(Ok(read)) => read,
            Some(Err(error)) => return tracing::debug!(%error, peer = ?address, "connection"),
            None => return,
        };
        let ending = async {
            if !ends {
                ending.await;
            }
        };
        match version {
            Version::Http1 => {
                let answering = calls.clone();
                let service = service_fn(move |request| answering.answer(&app, &peer, request));
                let connection = self.http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
                let connection = std::pin::pin!(connection);
                let silent = silence(&calls, self.header_timeout);
                let close = |connection: Pin<&mut http1::UpgradeableConnection<_, _>>| connection.graceful_shutdown();
                self.until_over(connection, close, ending, silent, &calls, address).await;
            }
            Version::Http2 => {
                let connection = std::pin::pin!(self.http2.serve(stream, app, peer, calls.clone()));
                let close = |connection: Pin<&mut http2::Connection<_>>| connection.get_mut().close();
                // Pings find out whether the client is there.
                self.until_over(connection, close, ending, std::future::pending(), &calls, address).await;
            }
        }
    }

    /// Serves a connection until it is over, which it is asked to be when `ending` is done, or until `silent` is. The connection is
    /// pinned by the caller: a future has room for what it is given and once more for what it pins, and every connection has one.
    async fn until_over<C, E>(
        &self,
        mut connection: Pin<&mut C>,
        close: impl FnOnce(Pin<&mut C>),
        ending: impl Future<Output = ()>,
        silent: impl Future<Output = ()>,
        calls: &ConnectionCalls,
        address: Option<SocketAddr>,
    ) where
        C: Future<Output = Result<(), E>>,
        E: std::error::Error,
    {
        // Looked at when one of them has woken it, and not whenever the connection has something to do, which is with each call.
        let mut over = FuturesUnordered::from_iter([async {
            tokio::select! {
                () = ending => Over::Ending,
                () = silent => Over::Silent,
            }
        }]);
        let result = tokio::select! {
            biased;
            result = connection.as_mut() => Ok(result),
            Some(over) = over.next() => Err(over),
        };
        let result = match result {
            Ok(result) => result,
            Err(Over::Silent) => return tracing::debug!(peer = ?address, "no request came in time"),
            Err(Over::Ending) => {
                close(connection.as_mut());
                let enough = async {
                    sleep(self.grace).await;
                    // At a stop, whoever drains says when it is enough, and counts.
                    if self.closing.is_cancelled() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    result = connection => result,
                    () = enough => {
                        let calls = calls.running_here();
                        if calls > 0 {
                            tracing::warn!(calls, peer = ?address, "calls are cut: their connection is too old");
                        }
                        return;
                    }
                }
            }
        };
        if let Err(error) = result {
            // What a client does to its connection is its own affair.
            tracing::debug!(%error, peer = ?address, "connection");
        }
    }

    /// Drops all connections when it is dropped.
    pub(super) fn guard(&self) -> [DropGuard; 2] {
        [self.closing.clone().drop_guard(), self.dropped.clone().drop_guard()]
    }

    /// Asks clients to go elsewhere, while everything is still served.
    pub(super) fn leave(&self) {
        self.calls.leave();
    }

    /// Lets every connection finish its calls, for as long as `patience` says, or until `at_once` is done; then drops what is
    /// left. Returns how many calls that were.
    pub(super) async fn drain(&self, patience: Duration, at_once: impl Future<Output = ()>) -> usize {
        self.closing.cancel();
        self.tasks.close();
        let (calls, connections) = (self.calls.running(), self.tasks.len());
        if connections > 0 {
            tracing::info!(calls, connections, ?patience, "finishing the calls that run");
        }
        tokio::select! {
            () = self.tasks.wait() => return 0,
            () = at_once => {}
            () = sleep(patience) => {}
        }
        let cut = self.calls.running();
        self.dropped.cancel();
        let _ = timeout(LAST, self.tasks.wait()).await;
        cut
    }
}
