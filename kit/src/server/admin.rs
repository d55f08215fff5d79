//! Ports for those who keep the service alive: metrics, debug pages.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    ServerConfig,
    connection::Connections,
    listener::Listener,
    port::{App, Protocols},
    socket::SocketConfig,
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
    ///
    /// # Errors
    /// When two have the same name, by which they are told apart in the log and by whoever asks for an address.
    pub(super) async fn bind(
        ports: Vec<(&'static str, String, axum::Router)>,
        socket: &SocketConfig,
    ) -> Result<Self, crate::Error> {
        let mut names = HashSet::new();
        if let Some((twice, ..)) = ports.iter().find(|(name, ..)| !names.insert(*name)) {
            return Err(crate::Error::invalid_argument(format!(
                "two admin ports have the name {twice:?}: give one of them another"
            )));
        }
        let mut bound = Vec::new();
        for (name, address, routes) in ports {
            let app = App::new(routes);
            match Listener::bind(&address, 1, socket, Protocols::Http, app).await {
                Ok(listener) => bound.push((name, listener)),
                Err(error) => {
                    tracing::error!(port = name, address, %error, "the service goes on without its {name} port");
                }
            }
        }
        Ok(Self(bound))
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
        let (mut accepting, closing) = (tokio::task::JoinSet::new(), CancellationToken::new());
        for (name, listener) in self.0 {
            tracing::info!(address = %listener.local_addr(), port = name, "listening");
            for queue in listener.queues() {
                let (connections, closing) = (connections.clone(), closing.clone());
                accepting.spawn(async move {
                    if let Err(error) = queue.accept(connections, closing, None).await {
                        tracing::error!(port = name, %error, "the service goes on without its {name} port");
                    }
                });
            }
        }
        Serving { accepting, closing, connections, _guard: guard }
    }
}

/// Admin ports that are served.
pub(super) struct Serving {
    accepting: tokio::task::JoinSet<()>,
    closing: CancellationToken,
    connections: Connections,
    // Dropping this ends the connections.
    _guard: [tokio_util::sync::DropGuard; 2],
}

impl Serving {
    /// Closes the ports; who is being answered has a moment.
    pub(super) async fn close(mut self, at_once: impl Future<Output = ()>) {
        self.closing.cancel();
        while self.accepting.join_next().await.is_some() {}
        self.connections.drain(GRACE, at_once).await;
    }
}
