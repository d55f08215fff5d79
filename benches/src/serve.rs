//! Servers on loopback sockets, each on a thread of its own.

use std::{fs, future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use kit::{Endpoints, middleware::StandardStack, server::Server, transport::http::HttpConfig};
use tokio::{net::TcpListener, sync::oneshot};
use tonic::transport::server::TcpIncoming;

use crate::{
    Failure, peer,
    proto::bench::ShelfEndpoints,
    shelf::{self, OneBook},
};

/// How many chapters the book of the servers has.
pub const CHAPTERS: i32 = 3;

/// A server that runs until the process ends.
#[derive(Clone, Debug)]
pub struct ServerThread {
    address: SocketAddr,
    thread: PathBuf,
}

impl ServerThread {
    /// Runs a server on a new thread with a single-threaded runtime. `serve` gets what it tells its address by.
    ///
    /// # Errors
    /// When the server did not come so far.
    pub fn spawn<F, Fut>(serve: F) -> Result<Self, Failure>
    where
        F: FnOnce(oneshot::Sender<SocketAddr>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>>,
    {
        let (sender, receiver) = oneshot::channel();
        let (path_sender, path_receiver) = oneshot::channel();
        std::thread::spawn(move || {
            // The link names the thread that follows it.
            let _ = path_sender.send(fs::canonicalize("/proc/thread-self"));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(sender))
        });
        let thread = path_receiver.blocking_recv()?.unwrap_or_default();
        Ok(Self { address: receiver.blocking_recv()?, thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its thread, as the system numbers it.
    #[cfg(target_os = "linux")]
    pub(crate) fn thread(&self) -> Option<rustix::thread::Pid> {
        self.thread.file_name()?.to_str()?.parse().ok().and_then(rustix::thread::Pid::from_raw)
    }

    /// The processor time of its thread so far; `None` where the system does not tell.
    pub fn processor_time(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.thread.join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }
}

/// The kit's endpoints with nothing around them.
pub fn bare() -> ShelfEndpoints {
    ShelfEndpoints::new(OneBook(shelf::book(CHAPTERS)))
}

/// The kit's endpoints as they are meant to be served.
pub fn standard() -> ShelfEndpoints {
    bare().with(&StandardStack::default())
}

/// The settings of HTTP/JSON without what a plain axum router has not either.
pub fn plain() -> HttpConfig {
    HttpConfig { compression: false, docs: false, ..HttpConfig::default() }
}

/// The kit over gRPC.
///
/// # Errors
/// When the server could not start.
pub fn kit_grpc(endpoints: ShelfEndpoints) -> Result<ServerThread, Failure> {
    kit(Server::new().grpc("127.0.0.1:0"), endpoints)
}

/// The kit over HTTP/JSON.
///
/// # Errors
/// When the server could not start.
pub fn kit_http(endpoints: ShelfEndpoints, config: HttpConfig) -> Result<ServerThread, Failure> {
    kit(Server::new().http("127.0.0.1:0").http_config(config), endpoints)
}

fn kit(server: Server, endpoints: impl Endpoints) -> Result<ServerThread, Failure> {
    let server = server.service(&endpoints);
    ServerThread::spawn(|ready| async move {
        let server = server.bind().await?;
        let address = server.http_addr().or(server.grpc_addr()).ok_or("no port")?;
        // Nobody waits only when the benchmark has ended.
        let _ = ready.send(address);
        Ok(server.run(std::future::pending()).await?)
    })
}

/// tonic by hand.
///
/// # Errors
/// When the server could not start.
pub fn tonic() -> Result<ServerThread, Failure> {
    ServerThread::spawn(|ready| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let _ = ready.send(listener.local_addr()?);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = peer::tonic::service(shelf::book(CHAPTERS));
        Ok(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await?)
    })
}

/// axum by hand.
///
/// # Errors
/// When the server could not start.
pub fn axum() -> Result<ServerThread, Failure> {
    use axum::serve::ListenerExt as _;
    ServerThread::spawn(|ready| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let _ = ready.send(listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, peer::axum::router(peer_book()?)).await?)
    })
}

/// The book of the servers as the hand-written struct.
///
/// # Errors
/// When the two JSON forms differ.
pub fn peer_book() -> Result<peer::json::Book, Failure> {
    Ok(serde_json::from_str(&kit::json::to_string(&shelf::book(CHAPTERS))?)?)
}
