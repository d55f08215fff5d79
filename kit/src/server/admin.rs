//! Ports for those who keep the service alive: metrics, debug pages.

use std::{net::SocketAddr, time::Duration};

use tower::util::BoxCloneSyncService;

use super::{
    ServerConfig,
    connection::Connections,
    listener::Listener,
    port::{App, Protocols},
};

/// The most connections of all admin ports: a scraper, a browser, a few people. More wait, and take nothing from the calls.
const CONNECTIONS: usize = 64;
/// How long what is asked of an admin port may go on when the last call is finished: enough for an answer, not for a profile.
const GRACE: Duration = Duration::from_secs(1);

/// The admin ports of a server, bound.
#[derive(Default)]
pub(super) struct Admin(Vec<(&'static str, Listener)>);

impl Admin {
    /// Binds the ports. One that can't be bound is logged: the service is worth more than its metrics.
    pub(super) async fn bind(ports: Vec<(&'static str, String, axum::Router)>) -> Self {
        let mut bound = Vec::new();
        for (name, address, routes) in ports {
            let app: App = BoxCloneSyncService::new(routes);
            match Listener::bind(&address, Protocols::Http, app).await {
                Ok(listener) => bound.push((name, listener)),
                Err(error) => {
                    tracing::error!(port = name, address, %error, "the service goes on without its {name} port");
                }
            }
        }
        Self(bound)
    }

    pub(super) fn addr(&self, name: &str) -> Option<SocketAddr> {
        self.0.iter().find(|(bound, _)| *bound == name).map(|(_, listener)| listener.local_addr())
    }

    /// Starts to serve, until the value is dropped or closed.
    pub(super) fn serve(self, config: &ServerConfig) -> Serving {
        let config = ServerConfig {
            max_connections: CONNECTIONS,
            max_connection_age: None,
            drain_timeout: GRACE,
            ..config.clone()
        };
        let connections = Connections::new(&config);
        let guard = connections.guard();
        let mut accepting = tokio::task::JoinSet::new();
        for (name, listener) in self.0 {
            let connections = connections.clone();
            tracing::info!(address = %listener.local_addr(), port = name, "listening");
            accepting.spawn(async move {
                if let Err(error) = listener.accept(connections).await {
                    tracing::error!(port = name, %error, "the service goes on without its {name} port");
                }
            });
        }
        Serving { accepting, connections, _guard: guard }
    }
}

/// Admin ports that are served.
pub(super) struct Serving {
    accepting: tokio::task::JoinSet<()>,
    connections: Connections,
    // Dropping this ends the connections.
    _guard: [tokio_util::sync::DropGuard; 2],
}

impl Serving {
    /// Closes the ports; who is being answered has a moment.
    pub(super) async fn close(mut self, at_once: impl Future<Output = ()>) {
        self.accepting.shutdown().await;
        self.connections.drain(GRACE, at_once).await;
    }
}
