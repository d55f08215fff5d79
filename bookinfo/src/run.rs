//! Two services, one process: started in the order in which they need each other, and stopped in the other.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bookcommon::Failure;
use futures_util::FutureExt as _;
use kit::{
    debug::ConfigEntry,
    instruments::{Instruments, InstrumentsConfig},
    server::{BoundServer, shutdown_signal},
    telemetry::log::Log,
};
use tokio_util::sync::CancellationToken;

use crate::Config;

/// Where the services are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Details over HTTP/JSON.
    pub details_http: SocketAddr,
    /// Details over gRPC.
    pub details_grpc: SocketAddr,
    /// Comments over HTTP/JSON.
    pub comments_http: SocketAddr,
    /// Comments over gRPC.
    pub comments_grpc: SocketAddr,
    /// The debug port of details; `None` when it is turned off or could not be had.
    pub details_debug: Option<SocketAddr>,
    /// The debug port of comments.
    pub comments_debug: Option<SocketAddr>,
    /// The figures of details.
    pub details_metrics: Option<SocketAddr>,
    /// The figures of comments.
    pub comments_metrics: Option<SocketAddr>,
}

/// Both services, their ports bound.
#[derive(Debug)]
pub struct BookInfo {
    details_server: BoundServer,
    comments_server: BoundServer,
    addresses: Addresses,
}

impl BookInfo {
    /// Puts both services together and binds their ports. The debug ports show the level of `log`.
    ///
    /// # Errors
    /// When a port is taken (the text names it), or a database refuses us.
    pub async fn start(mut config: Config, log: Option<&Log>) -> Result<Self, Failure> {
        let instruments = |name: &'static str, addr, telemetry: &InstrumentsConfig, shown: Vec<ConfigEntry>| {
            let instruments = Instruments::builder(name, telemetry).version(env!("CARGO_PKG_VERSION")).address(addr);
            log.into_iter().fold(instruments.settings(shown), |instruments, log| instruments.log(log)).start()
        };
        let of_comments = &config.comments;
        let watched = instruments("comments", of_comments.grpc_addr, &of_comments.telemetry, config.comments_shown)?;
        let comments = bookcomments::app::App::build(of_comments, watched).await?;
        let comments_server = comments.server(of_comments).bind().await?;
        let (comments_http, comments_grpc) = addresses(&comments_server)?;

        config.details.comments.address = format!("grpc://{}", reachable(comments_grpc));
        let of_details = &config.details;
        let watched = instruments("details", of_details.grpc_addr, &of_details.telemetry, config.details_shown)?;
        let details = bookdetails::app::App::build(of_details, watched).await?;
        let details_server = details.server(of_details).bind().await?;
        let (details_http, details_grpc) = addresses(&details_server)?;

        let addresses = Addresses {
            details_http,
            details_grpc,
            comments_http,
            comments_grpc,
            details_debug: details_server.admin_addr("debug"),
            comments_debug: comments_server.admin_addr("debug"),
            details_metrics: details_server.admin_addr("metrics"),
            comments_metrics: comments_server.admin_addr("metrics"),
        };
        Ok(Self { details_server, comments_server, addresses })
    }

    /// Where the services are.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown` is done, then finishes the calls that run: first those of details, which may still ask
    /// comments, then those of comments. A signal that comes meanwhile ends both at once.
    ///
    /// # Errors
    /// When one of the services breaks off; the other is stopped as at a shutdown. When calls had to be cut.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self { details_server, comments_server, .. } = self;
        // One for both: the service that stops later must know of it, too.
        let second_signal = async { shutdown_signal().await }.shared();
        let (details_done, comments_done) = (CancellationToken::new(), CancellationToken::new());
        let serve_details = async {
            let shutdown = async {
                tokio::select! {
                    () = shutdown => {}
                    () = comments_done.cancelled() => {}
                }
            };
            let result = details_server.run_until(shutdown, second_signal.clone()).await;
            details_done.cancel();
            result
        };
        let serve_comments = async {
            let result = comments_server.run_until(details_done.cancelled(), second_signal.clone()).await;
            comments_done.cancel();
            result
        };
        let (of_details, of_comments) = tokio::join!(serve_details, serve_comments);
        match (of_details, of_comments) {
            (Err(details), Err(comments)) => Err(format!("details: {details}\ncomments: {comments}").into()),
            (of_details, of_comments) => Ok(of_details.and(of_comments)?),
        }
    }
}

fn addresses(server: &BoundServer) -> Result<(SocketAddr, SocketAddr), Failure> {
    match (server.http_addr(), server.grpc_addr()) {
        (Some(http), Some(grpc)) => Ok((http, grpc)),
        _ => Err("a server has no port".into()),
    }
}

/// An address that means "everywhere" is called at the loopback.
pub(crate) fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}
