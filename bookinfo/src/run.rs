//! Two services, one process: started in the order in which they need each other, and stopped in the other.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bookcommon::Failure;
use kit::server::BoundServer;
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
}

/// Both services, their ports bound.
#[derive(Debug)]
pub struct BookInfo {
    details: bookdetails::app::App,
    comments: bookcomments::app::App,
    details_server: BoundServer,
    comments_server: BoundServer,
    addresses: Addresses,
    stop: CancellationToken,
}

impl BookInfo {
    /// Puts both services together and binds their ports.
    ///
    /// # Errors
    /// When a port is taken (the text names it), or a database refuses us.
    pub async fn start(mut config: Config) -> Result<Self, Failure> {
        let stop = CancellationToken::new();
        let comments = bookcomments::app::App::build(&config.comments, stop.clone()).await?;
        let comments_server = comments.server(&config.comments).bind().await?;
        let (comments_http, comments_grpc) = addresses(&comments_server)?;

        config.details.comments.address = format!("grpc://{}", reachable(comments_grpc));
        let details = bookdetails::app::App::build(&config.details).await?;
        let details_server = details.server(&config.details).bind().await?;
        let (details_http, details_grpc) = addresses(&details_server)?;

        let addresses = Addresses { details_http, details_grpc, comments_http, comments_grpc };
        Ok(Self { details, comments, details_server, comments_server, addresses, stop })
    }

    /// Where the services are.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown` is done, then finishes the calls that run: first those of details, which may still ask
    /// comments, then those of comments.
    ///
    /// # Errors
    /// When one of the services breaks off; the other is stopped as at a shutdown.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self { details, comments, details_server, comments_server, stop, .. } = self;
        let details_done = CancellationToken::new();
        let comments_done = CancellationToken::new();
        let serve_details = async {
            let result = details_server
                .run(async {
                    tokio::select! {
                        () = shutdown => {}
                        () = comments_done.cancelled() => {}
                    }
                    // Whoever watches comments would do so for ever.
                    stop.cancel();
                })
                .await;
            details_done.cancel();
            result
        };
        let serve_comments = async {
            let result = comments_server.run(details_done.cancelled()).await;
            comments_done.cancel();
            result
        };
        let (of_details, of_comments) = tokio::join!(serve_details, serve_comments);
        details.close().await;
        comments.close().await;
        Ok(of_details.and(of_comments)?)
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
