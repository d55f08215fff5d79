//! Listeners, health, and a stop that loses no call.
//!
//! ```no_run
//! # async fn example<E: kit::Endpoints>(endpoints: E) -> Result<(), kit::server::ServeError> {
//! use kit::server::{Server, shutdown_signal};
//!
//! let server = Server::new()
//!     .http("127.0.0.1:5001")
//!     .grpc("127.0.0.1:5002")
//!     .service(&endpoints)
//!     .bind()
//!     .await?;
//! println!("HTTP on {:?}", server.http_addr());
//! server.run(shutdown_signal()).await?;
//! # Ok(()) }
//! ```
//!
//! The stop: gRPC health says NOT_SERVING, after [`ServerConfig::shutdown_delay`] the listeners close, calls that run are finished, streams too, until
//! [`ServerConfig::drain_timeout`] has passed or a second signal comes; what is left then is dropped.

use std::{fmt, future::Future, net::SocketAddr};

use tower::util::BoxCloneSyncService;

use crate::{
    Endpoints,
    transport::{
        grpc::{GrpcConfig, GrpcService},
        http::{HttpConfig, HttpTransport},
    },
};

mod config;
mod connection;
mod error;
mod first_bytes;
mod listener;
mod port;
mod signal;
#[cfg(feature = "tls")]
mod tls;

pub use config::ServerConfig;
pub use error::ServeError;
use listener::Listener;
use port::{App, Protocols};
pub use signal::shutdown_signal;
#[cfg(feature = "tls")]
pub use tls::ServerTls;

type RegisterService = Box<dyn FnOnce(HttpTransport, GrpcService) -> (HttpTransport, GrpcService) + Send>;

/// Services and the ports they are served on; made ready by [`Server::bind`].
#[derive(Default)]
pub struct Server {
    config: ServerConfig,
    http: HttpConfig,
    grpc: GrpcConfig,
    ports: Vec<(String, Protocols)>,
    services: Vec<RegisterService>,
    names: Vec<&'static str>,
    routes: Option<axum::Router>,
    #[cfg(feature = "reflection")]
    reflection: bool,
    #[cfg(feature = "reflection")]
    descriptors: Vec<&'static [u8]>,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
}

impl Server {
    /// A server without ports and services.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets limits and times of connections.
    #[must_use]
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets the HTTP/JSON transport.
    #[must_use]
    pub fn http_config(mut self, config: HttpConfig) -> Self {
        self.http = config;
        self
    }

    /// Sets the gRPC transport.
    #[must_use]
    pub fn grpc_config(mut self, config: GrpcConfig) -> Self {
        self.grpc = config;
        self
    }

    /// Serves HTTP/JSON on an address, `host:port`; port 0 takes a free one.
    #[must_use]
    pub fn http(mut self, address: impl fmt::Display) -> Self {
        self.ports.push((address.to_string(), Protocols::Http));
        self
    }

    /// Serves gRPC and gRPC-Web on an address.
    #[must_use]
    pub fn grpc(mut self, address: impl fmt::Display) -> Self {
        self.ports.push((address.to_string(), Protocols::Grpc));
        self
    }

    /// Serves HTTP/JSON, gRPC and gRPC-Web on one address, told apart by the content type.
    #[must_use]
    pub fn shared(mut self, address: impl fmt::Display) -> Self {
        self.ports.push((address.to_string(), Protocols::Both));
        self
    }

    /// Adds a service.
    #[must_use]
    pub fn service<E: Endpoints>(mut self, endpoints: &E) -> Self {
        let endpoints = endpoints.clone();
        self.names.push(E::SERVICE.name);
        #[cfg(feature = "reflection")]
        self.descriptors.push(E::SERVICE.descriptors);
        self.services.push(Box::new(move |http, grpc| (http.service(&endpoints), grpc.service(&endpoints))));
        self
    }

    /// Adds HTTP routes of your own; the routes of services come first.
    #[must_use]
    pub fn routes(mut self, routes: axum::Router) -> Self {
        self.routes = Some(match self.routes.take() {
            Some(before) => before.merge(routes),
            None => routes,
        });
        self
    }

    /// Serves gRPC reflection, so that tools can list and call methods without the `.proto` files. Off by default: it shows
    /// every method to whoever can connect.
    #[cfg(feature = "reflection")]
    #[must_use]
    pub fn reflection(mut self, on: bool) -> Self {
        self.reflection = on;
        self
    }

    /// Serves all ports by TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Binds all ports and puts everything together; nothing is served yet.
    ///
    /// # Errors
    /// When a port is taken or an address is none (the error names it), when two services have routes that can't be told
    /// apart, or when certificates can't be used.
    pub async fn bind(self) -> Result<BoundServer, ServeError> {
        self.config.validate().map_err(ServeError::setup)?;
        if self.ports.is_empty() {
            return Err(ServeError::setup(crate::Error::invalid_argument(
                "the server has no port: give it one with http, grpc or shared",
            )));
        }
        let (health, health_service) = tonic_health::server::health_reporter();
        for name in &self.names {
            health.set_service_status(*name, tonic_health::ServingStatus::Serving).await;
        }
        let mut http = HttpTransport::new(self.http.clone());
        let mut grpc = GrpcService::new(self.grpc.clone()).mount(health_service);
        #[cfg(feature = "reflection")]
        if self.reflection {
            grpc = port::with_reflection(grpc, &self.descriptors)?;
        }
        for register in self.services {
            (http, grpc) = register(http, grpc);
        }
        if let Some(routes) = self.routes {
            http = http.routes(routes);
        }
        let http = http.build().map_err(ServeError::setup)?;
        let grpc = port::grpc_app(grpc, &self.http.cors).map_err(ServeError::setup)?;
        #[cfg(feature = "tls")]
        let tls = match &self.tls {
            Some(tls) => Some(tls.acceptor()?),
            None => None,
        };
        let mut listeners = Vec::new();
        for (address, protocols) in &self.ports {
            let app: App = match protocols {
                Protocols::Http => BoxCloneSyncService::new(http.clone()),
                Protocols::Grpc => grpc.clone(),
                Protocols::Both => port::both(BoxCloneSyncService::new(http.clone()), grpc.clone()),
            };
            let listener = Listener::bind(address, *protocols, app).await?;
            #[cfg(feature = "tls")]
            let listener = listener.with_tls(tls.clone());
            listeners.push(listener);
        }
        Ok(BoundServer { config: self.config, listeners, health, names: self.names })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("ports", &self.ports).field("services", &self.names).finish_non_exhaustive()
    }
}

/// A server whose ports are bound: connections wait in their queues until it runs.
pub struct BoundServer {
    config: ServerConfig,
    listeners: Vec<Listener>,
    health: tonic_health::server::HealthReporter,
    names: Vec<&'static str>,
}

impl BoundServer {
    /// The address of the first port for HTTP/JSON.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.addr(|protocols| protocols != Protocols::Grpc)
    }

    /// The address of the first port for gRPC.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.addr(|protocols| protocols != Protocols::Http)
    }

    fn addr(&self, fits: impl Fn(Protocols) -> bool) -> Option<SocketAddr> {
        self.listeners.iter().find(|listener| fits(listener.protocols())).map(Listener::local_addr)
    }

    /// Serves until `shutdown` is done, then stops without losing a call: see the [module](self).
    ///
    /// Not cancel-safe: dropping the future drops all connections at once.
    ///
    /// # Errors
    /// When a listener dies; the others are stopped as at a shutdown.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { config, listeners, mut health, names } = self;
        let connections = connection::Connections::new(&config);
        // Dropping this future ends what it has spawned.
        let _guard = connections.guard();
        let mut accepting = tokio::task::JoinSet::new();
        for listener in listeners {
            tracing::info!(address = %listener.local_addr(), protocols = listener.protocols().name(), "listening");
            accepting.spawn(listener.accept(connections.clone()));
        }
        let result = tokio::select! {
            () = shutdown => Ok(()),
            Some(ended) = accepting.join_next() => ended.unwrap_or_else(|e| Err(ServeError::listener_task(e))),
        };
        let names = || names.iter().copied().chain([""]);
        for name in names() {
            health.set_service_status(name, tonic_health::ServingStatus::NotServing).await;
        }
        if result.is_ok() {
            tokio::time::sleep(config.shutdown_delay).await;
        }
        accepting.shutdown().await;
        // Whoever watches has been told; a watch has no end of its own, and would be waited for.
        for name in names() {
            health.clear_service_status(name).await;
        }
        connections.drain(config.drain_timeout).await;
        result
    }
}

impl fmt::Debug for BoundServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundServer").field("services", &self.names).finish_non_exhaustive()
    }
}
