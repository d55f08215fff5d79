use serde_json::Value;
use tower::ServiceBuilder;

use super::Middleware;
#[cfg(feature = "metrics")]
use crate::layer::metrics::MetricsLayer;
#[cfg(feature = "trace")]
use crate::layer::trace::TraceLayer;
use crate::{
    Endpoint, Error, LayerInfo, Payload, Request, Response, Transport,
    layer::{
        auth::{Auth, AuthLayer},
        authorize::{Authorize, AuthorizeLayer},
        recover,
        report::ReportLayer,
    },
    telemetry::Telemetry,
};

mod client;
mod config;
mod live;
mod methods;
mod section;
mod served;
mod server;
#[cfg(test)]
mod tests;
#[cfg(feature = "metrics")]
mod watch;

use client::{ClientChain, ClientLayers};
pub use config::{ClientStackConfig, ServerStackConfig};
pub use methods::MethodSettings;
use served::{Served, Watchers};
use server::{ServerChain, ServerLayers};

/// The chain that stands around every method of a service, or of a client, unless its author says otherwise.
///
/// Around a service, from the outside in:
///
/// | layer | why it stands there |
/// |---|---|
/// | trace | everything else belongs to the span, and its ids stand on every line that is logged |
/// | metrics | counts what callers get, refusals and recovered panics among it |
/// | access log | writes what callers get |
/// | report | hands failures of ours on, with the stack that a recovered panic has |
/// | recover | turns a panic of anything behind it into an answer, so that log, figures and span have it |
/// | timeout | the deadline is there before anything waits, so that no queue holds a call longer |
/// | bbr | the cheapest refusal first: when the processors are busy nothing more should be spent on a call |
/// | authentication, authorisation | before anything is held for a caller; see [`auth`](Self::auth) and [`authorize`](Self::authorize) |
/// | rate limit | a call that is too many takes no place from others |
/// | concurrency or adaptive | holds a place for those that may run |
/// | validation | a request that breaks the rules of its `.proto` file is no work of the handler, and says nothing of it |
/// | breaker | it judges the handler alone, and no refusal of the others speaks for or against it |
/// | fault | innermost: what it does on purpose looks to all others like the handler's own |
///
/// Around a client:
///
/// | layer | why it stands there |
/// |---|---|
/// | trace, metrics | see the call as the program made it, whatever it took |
/// | timeout | for all attempts together |
/// | retry | each attempt goes through all that follows, and is spared what that refuses |
/// | hedge | a second request is part of one attempt, and paid by the same budget |
/// | throttle | sends less to a service that refuses much; before the breaker, which should not see what was not sent |
/// | breaker | judges the service by each request |
/// | concurrency or adaptive | a place is held for requests that are really sent |
/// | fault | innermost: what it does on purpose looks like the service's own |
///
/// Trace, metrics and report are there when [`StandardStack::watched_by`] gave them something to tell it to, the others when they
/// are configured: see [`ServerStackConfig`] and [`ClientStackConfig`] for what is there by default. A layer that is not there is one
/// branch. The chain of a service is one service that asks the policies of its layers in that order, reads the clock when a call begins
/// and when it ends, and allocates once a call; that of a client is a stack of Tower layers.
///
/// What is put around endpoints later stands outside of what is there: `.with(&yours).with(&standard)` has yours inside, where
/// the log sees its refusals.
///
/// Its clones are one chain, whose settings can be changed while calls run: [`reconfigure`](Self::reconfigure) and
/// [`reconfigure_client`](Self::reconfigure_client), or method by method on the debug port.
#[derive(Clone)]
pub struct StandardStack {
    chain: Chain,
    telemetry: Telemetry,
    auth: Option<Auth>,
    authorize: Option<Authorize>,
}

#[derive(Clone)]
enum Chain {
    Server(ServerChain),
    /// With how calls are made.
    Client(ClientChain, Transport),
}

impl Default for StandardStack {
    /// The chain of a service that configures nothing.
    fn default() -> Self {
        Self::of(Chain::Server(ServerChain::default()))
    }
}

impl StandardStack {
    /// The chain of a service.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn server(config: &ServerStackConfig) -> Result<Self, Error> {
        Ok(Self::of(Chain::Server(ServerChain::new(config)?)))
    }

    /// The chain of a client that calls through `transport`: that of its channel, [`Transport::Local`] for a service in this
    /// process.
    ///
    /// # Errors
    /// As [`StandardStack::server`].
    pub fn client(config: &ClientStackConfig, transport: Transport) -> Result<Self, Error> {
        Ok(Self::of(Chain::Client(ClientChain::new(config)?, transport)))
    }

    fn of(chain: Chain) -> Self {
        Self { chain, telemetry: Telemetry::default(), auth: None, authorize: None }
    }

    /// Finds out who calls, before anything is held for a call: around a service only.
    #[must_use]
    pub fn auth(mut self, auth: &Auth) -> Self {
        self.auth = Some(auth.clone());
        self
    }

    /// Lets callers do what they may: around a service only.
    #[must_use]
    pub fn authorize(mut self, authorize: &Authorize) -> Self {
        self.authorize = Some(authorize.clone());
        self
    }

    /// Reports every call.
    #[must_use]
    pub fn watched_by(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = telemetry.clone();
        self
    }

    /// Takes other settings over while calls run, for all methods that the chain stands around. What the layers know is kept as far
    /// as it means the same. Layers are neither added nor left out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for settings that can't be, `FAILED_PRECONDITION` for those that need a restart, or for a client's chain;
    /// then nothing has changed.
    pub fn reconfigure(&self, config: &ServerStackConfig) -> Result<(), Error> {
        match &self.chain {
            Chain::Server(chain) => chain.reconfigure(config),
            Chain::Client(..) => Err(not_of_a(SERVICE)),
        }
    }

    /// The same for a client.
    ///
    /// # Errors
    /// As [`StandardStack::reconfigure`].
    pub fn reconfigure_client(&self, config: &ClientStackConfig) -> Result<(), Error> {
        match &self.chain {
            Chain::Client(chain, _) => chain.reconfigure(config),
            Chain::Server(_) => Err(not_of_a(CLIENT)),
        }
    }

    /// Whether [`reconfigure`](Self::reconfigure) would take these settings over: for who changes several chains, or none.
    ///
    /// # Errors
    /// As [`StandardStack::reconfigure`].
    pub fn check(&self, config: &ServerStackConfig) -> Result<(), Error> {
        match &self.chain {
            Chain::Server(chain) => chain.check(config),
            Chain::Client(..) => Err(not_of_a(SERVICE)),
        }
    }

    /// The same for a client.
    ///
    /// # Errors
    /// As [`StandardStack::reconfigure`].
    pub fn check_client(&self, config: &ClientStackConfig) -> Result<(), Error> {
        match &self.chain {
            Chain::Client(chain, _) => chain.check(config),
            Chain::Server(_) => Err(not_of_a(CLIENT)),
        }
    }

    fn around_service<Req, Res>(&self, layers: ServerLayers, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res>
    where
        Req: Payload,
        Res: Payload,
    {
        let method = endpoint.method().clone();
        let mut infos = Vec::new();
        #[cfg(feature = "trace")]
        let trace = {
            let tracer = self.telemetry.tracer();
            infos.extend(tracer.is_enabled().then(|| LayerInfo::new("trace", Value::Null)));
            TraceLayer::server(tracer, &method).traced
        };
        #[cfg(feature = "metrics")]
        let series = {
            let metrics = self.telemetry.metrics().map_or_else(MetricsLayer::none, |metrics| {
                layers.handles.observe(metrics, &method, Req::IS_RULED);
                watch::access(self.auth.as_ref(), self.authorize.as_ref(), metrics, &method);
                MetricsLayer::server(metrics, &method)
            });
            infos.extend(metrics.info());
            metrics.series
        };
        let reports = self.telemetry.reports();
        let report = reports.map_or_else(ReportLayer::none, |reports| ReportLayer::new(reports.clone()));
        infos.push(LayerInfo::new("access_log", Value::Null));
        infos.extend(report.info());
        infos.push(LayerInfo::new("recover", Value::Null));
        recover::install();
        let auth = self.auth.as_ref().map_or_else(AuthLayer::none, |auth| AuthLayer::new(auth, &method));
        let authorize = self
            .authorize
            .as_ref()
            .map_or_else(AuthorizeLayer::none, |authorize| AuthorizeLayer::new(authorize, &method));
        infos.extend(layers.infos([auth.info(), authorize.info()], Req::IS_RULED));
        let watchers = Watchers {
            #[cfg(feature = "trace")]
            trace,
            #[cfg(feature = "metrics")]
            series,
            report: report.shared(),
        };
        let gates = layers.gates(auth, authorize);
        endpoint.wrap_erased(infos, |inner| Served::new(watchers, gates, inner))
    }

    fn around_client<Req, Res>(
        &self,
        layers: ClientLayers,
        transport: Transport,
        endpoint: Endpoint<Req, Res>,
    ) -> Endpoint<Req, Res>
    where
        Req: Payload,
        Res: Payload,
    {
        let mut infos = Vec::new();
        let stack = ServiceBuilder::new();
        #[cfg(feature = "trace")]
        let stack = {
            let tracer = self.telemetry.tracer();
            infos.extend(tracer.is_enabled().then(|| LayerInfo::new("trace", Value::Null)));
            stack.layer(TraceLayer::client(tracer, endpoint.method()))
        };
        #[cfg(feature = "metrics")]
        let stack = {
            let metrics = self.telemetry.metrics().map_or_else(MetricsLayer::none, |metrics| {
                layers.observe(metrics, endpoint.method());
                MetricsLayer::client(metrics, endpoint.method(), transport)
            });
            infos.extend(metrics.info());
            stack.layer(metrics)
        };
        #[cfg(not(feature = "metrics"))]
        let _ = transport;
        infos.extend(layers.infos());
        let stack = stack.layer(layers.timeout).layer(layers.retry).layer(layers.hedge);
        let stack = stack.layer(layers.throttle).layer(layers.breaker);
        let stack = stack.layer(layers.concurrency).layer(layers.adaptive).layer(layers.fault);
        endpoint.wrap(infos, |inner| stack.service(inner))
    }
}

const SERVICE: &str = "service";
const CLIENT: &str = "client";

fn not_of_a(whose: &str) -> Error {
    Error::failed_precondition(format!("these are settings for the chain of a {whose}, which this is not"))
}

impl Middleware for StandardStack {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let method = endpoint.method().clone();
        let made = match &self.chain {
            Chain::Server(chain) => chain.layers(&method).map(|layers| self.around_service(layers, endpoint)),
            Chain::Client(chain, transport) => {
                chain.layers(&method).map(|layers| self.around_client(layers, *transport, endpoint))
            }
        };
        // All settings were checked when the chain was made. Should one fail here all the same, no call goes without its layers.
        made.unwrap_or_else(|error| {
            tracing::error!(method = &*method.path, error = %error.to_log(), "the standard chain can't be made");
            let refuse =
                |_: Request<Req>| async { Err::<Response<Res>, _>(Error::internal("the service is not set up")) };
            Endpoint::new(method, tower::service_fn(refuse))
        })
    }
}

impl std::fmt::Debug for StandardStack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("StandardStack");
        match &self.chain {
            Chain::Server(chain) => shown.field("server", &chain.config()),
            Chain::Client(chain, _) => shown.field("client", &chain.config()),
        };
        shown.finish_non_exhaustive()
    }
}
