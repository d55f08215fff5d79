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
//! Calls run on the runtime that runs the server, or on a thread for each core: [`ServerConfig::runtime`], and
//! `docs/runtime.md` for which is better when.
//!
//! The life of a server, as `docs/lifecycle.md` tells it at length:
//!
//! 1. [`Server::bind`] takes all ports: what is wrong with them ends the start, but for [admin](Server::admin) ports.
//! 2. [`BoundServer::run`] serves. It is ready as soon as every critical [`Check`] has passed once.
//! 3. The stop begins with `shutdown`, or with a listener that dies: health says NOT_SERVING, `/readyz` is 503, and calls are
//!    served on for [`ServerConfig::shutdown_delay`].
//! 4. The listeners close, streams without an end are [told](Server::draining), calls are finished, then background
//!    [tasks](Server::tasks), all within [`ServerConfig::drain_timeout`]; what is left then is cut.
//! 5. The admin ports close, and what was registered by [`Server::on_stop`] is done.
//! 6. `run` returns: an error when calls were cut, that says how many. A second signal ends any of this at once.

use std::{fmt, future::Future, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    Endpoints,
    json::Registry,
    task::Tasks,
    transport::{
        grpc::{GrpcConfig, GrpcService},
        http::{HttpConfig, HttpTransport},
    },
    validate::Validate as _,
};

mod admin;
mod bound;
mod calls;
mod config;
mod connection;
mod error;
mod first_bytes;
mod health;
mod hook;
mod http2;
mod listener;
mod memory;
mod port;
mod runtime;
mod signal;
mod silence;
mod socket;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod until;
mod write_timeout;

use admin::Admin;
pub use bound::BoundServer;
pub use config::ServerConfig;
pub use error::ServeError;
use health::Monitor;
pub use health::{Check, CheckReport, CheckState, Health, HealthConfig};
use hook::Hook;
use listener::Listener;
use port::{App, Protocols};
use runtime::Cores;
pub use runtime::{CoresConfig, RuntimeKind};
pub use signal::shutdown_signal;
pub use socket::SocketConfig;
#[cfg(feature = "tls")]
pub use tls::ServerTls;

type RegisterService = Box<dyn FnOnce(HttpTransport, GrpcService) -> (HttpTransport, GrpcService) + Send>;

#[cfg(feature = "debug")]
type ShowService = Box<dyn FnOnce(crate::debug::Debug) -> crate::debug::Debug + Send>;

/// Services and the ports they are served on; made ready by [`Server::bind`].
#[derive(Default)]
pub struct Server {
    config: ServerConfig,
    http: HttpConfig,
    grpc: GrpcConfig,
    ports: Vec<(String, Protocols)>,
    admin: Vec<AdminPort>,
    services: Vec<RegisterService>,
    names: Vec<&'static str>,
    routes: Option<axum::Router>,
    registry: Registry,
    #[cfg(feature = "metrics")]
    figures: Vec<crate::telemetry::metrics::Metrics>,
    health: Health,
    checks: Vec<Check>,
    draining: Vec<CancellationToken>,
    tasks: Vec<Tasks>,
    hooks: Vec<Hook>,
    #[cfg(feature = "debug")]
    debug: Option<crate::debug::Debug>,
    #[cfg(feature = "debug")]
    shown: Vec<ShowService>,
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

    /// Serves HTTP routes on a port of their own, such as metrics or the debug pages: in the clear, without the services, with
    /// few connections of its own, and until the last call is finished, so that one can look while a stop goes on. What is
    /// asked of it then has a second to end.
    ///
    /// A port that is taken does not keep the service from starting: it is an error in the log, and
    /// [`BoundServer::admin_addr`] is `None`. `name` is for both, and each port has one of its own: `metrics` and `debug` are
    /// those of [`Server::metrics`] and [`Server::debug`].
    #[must_use]
    pub fn admin(mut self, name: &'static str, address: impl fmt::Display, routes: axum::Router) -> Self {
        self.admin.push((name, address.to_string(), routes));
        self
    }

    /// Serves the figures of the service on a port of their own, at `/metrics`, with `/livez`, `/readyz` and `/ping` beside them.
    /// With [`RuntimeKind::ThreadPerCore`] the connections of each core are among them.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics(mut self, address: impl fmt::Display, metrics: &crate::telemetry::metrics::Metrics) -> Self {
        self.figures.push(metrics.clone());
        let routes = metrics.routes().merge(self.health.routes());
        self.admin("metrics", address, routes)
    }

    /// Serves the debug pages on the address of their settings, unless those turn them off. The services of this server and its
    /// background tasks are shown by themselves.
    #[cfg(feature = "debug")]
    #[must_use]
    pub fn debug(mut self, debug: crate::debug::Debug) -> Self {
        self.debug = Some(debug);
        self
    }

    /// Adds a service.
    #[must_use]
    pub fn service<E: Endpoints>(mut self, endpoints: &E) -> Self {
        let endpoints = endpoints.clone();
        self.names.push(E::SERVICE.name);
        #[cfg(feature = "debug")]
        self.shown.push({
            let endpoints = endpoints.clone();
            Box::new(move |debug| debug.service(&endpoints))
        });
        #[cfg(feature = "reflection")]
        self.descriptors.push(E::SERVICE.descriptors);
        self.services.push(Box::new(move |http, grpc| (http.service(&endpoints), grpc.service(&endpoints))));
        self
    }

    /// The health of this server, to be asked; also `/livez`, `/readyz` and `/ping` [for an admin port](Health::routes).
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Adds something that is run every now and then to find out whether the server is well, by the settings of
    /// [`ServerConfig::health`]. Not ready before all critical ones have passed once.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Cancels a token at the stop, when the listeners are closed and calls are finished: for streams that have no end of
    /// their own, which would be waited for and cut. They end best with `UNAVAILABLE`, so that callers call again.
    #[must_use]
    pub fn draining(mut self, token: &CancellationToken) -> Self {
        self.draining.push(token.clone());
        self
    }

    /// Waits for background tasks at the stop, when the last call is finished: for as long as is left of
    /// [`ServerConfig::drain_timeout`], and a second at least.
    #[must_use]
    pub fn tasks(mut self, tasks: &Tasks) -> Self {
        self.tasks.push(tasks.clone());
        self
    }

    /// Does something at the stop, when the last call and the last background task are finished: flushes what is buffered,
    /// closes what is open. One after the other in the order in which they are added, each for `limit` at most; one that fails
    /// is logged and keeps no other from being done. Not done when [`BoundServer::run`] is dropped, or ended by a second signal.
    #[must_use]
    pub fn on_stop<F, Fut>(mut self, name: &'static str, limit: Duration, run: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hooks.push(Hook::new(name, run, limit));
        self
    }

    /// Adds HTTP routes of your own. The routes of services come first, then `/livez`, `/readyz` and `/ping` (see
    /// [`HealthConfig::http`]), then these.
    #[must_use]
    pub fn routes(mut self, routes: axum::Router) -> Self {
        self.routes = Some(match self.routes.take() {
            Some(before) => before.merge(routes),
            None => routes,
        });
        self
    }

    /// Makes messages known to the JSON of `google.protobuf.Any` over HTTP, for all services, before or after they are added.
    /// Those of the services' own packages, and the details of errors, are known without.
    #[must_use]
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = self.registry.merged(registry);
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

    /// Serves all ports by TLS, but for those of [`Server::admin`].
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
    /// apart, when two admin ports have one name, when a check is of a service that is not here, or when certificates can't be
    /// used, or when there can't be as many threads as `thread_per_core` asks for.
    pub async fn bind(self) -> Result<BoundServer, ServeError> {
        self.config.check("server").map_err(ServeError::setup)?;
        #[cfg(feature = "debug")]
        if let Some(debug) = &self.debug {
            debug.settings_of_port().check("debug").map_err(ServeError::setup)?;
        }
        if self.ports.is_empty() {
            return Err(ServeError::setup(crate::Error::invalid_argument(
                "the server has no port: give it one with http, grpc or shared",
            )));
        }
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let settings = self.config.health.clone();
        let probes = settings.http.then(|| self.health.clone());
        let monitor =
            Monitor::new(self.health, self.checks, settings, reporter, self.names).await.map_err(ServeError::setup)?;
        let mut http = HttpTransport::new(self.http.clone()).registry(&self.registry);
        if let Some(health) = probes {
            http = http.aside(move |request| health.answer(request));
        }
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
        let (cores, sockets) = match self.config.runtime {
            RuntimeKind::MultiThread => (None, 1),
            RuntimeKind::ThreadPerCore => (Some(Cores::start(&self.config.cores)?), self.config.cores.listeners()),
        };
        #[cfg(feature = "metrics")]
        if let Some(cores) = &cores {
            for metrics in &self.figures {
                cores.observe(metrics).map_err(ServeError::setup)?;
            }
        }
        memory::keep_what_messages_need();
        let mut listeners = Vec::new();
        for (address, protocols) in &self.ports {
            let app = match protocols {
                Protocols::Http => App::Http(http.clone()),
                Protocols::Grpc => App::Grpc(grpc.clone()),
                Protocols::Both => App::Both(http.clone(), grpc.clone()),
            };
            let listener = Listener::bind(address, sockets, &self.config.socket, *protocols, app).await?;
            #[cfg(feature = "tls")]
            let listener = listener.with_tls(tls.clone());
            listeners.push(listener);
        }
        let admin = self.admin;
        #[cfg(feature = "debug")]
        let (admin, debug) = debug_port(admin, self.debug, self.shown, &self.tasks);
        Ok(BoundServer {
            admin: Admin::bind(admin, &self.config.socket).await.map_err(ServeError::setup)?,
            config: self.config,
            listeners,
            cores,
            monitor,
            draining: self.draining,
            tasks: self.tasks,
            hooks: self.hooks,
            #[cfg(feature = "tls")]
            tls,
            #[cfg(feature = "debug")]
            debug,
        })
    }
}

type AdminPort = (&'static str, String, axum::Router);

/// Starts the debug port, unless its settings turn it off, with what the server knows by itself.
#[cfg(feature = "debug")]
fn debug_port(
    mut admin: Vec<AdminPort>,
    debug: Option<crate::debug::Debug>,
    shown: Vec<ShowService>,
    tasks: &[Tasks],
) -> (Vec<AdminPort>, Option<crate::debug::DebugPort>) {
    let Some(debug) = debug.filter(|debug| debug.settings_of_port().enabled) else { return (admin, None) };
    let address = debug.settings_of_port().addr.to_string();
    let debug = shown.into_iter().fold(debug, |debug, show| show(debug));
    let port = tasks.iter().fold(debug, |debug, tasks| debug.tasks(tasks)).start();
    admin.push(("debug", address, port.routes()));
    (admin, Some(port))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("ports", &self.ports).field("services", &self.names).finish_non_exhaustive()
    }
}
