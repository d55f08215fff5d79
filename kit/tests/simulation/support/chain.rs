//! The standard chain as the simulations use it.

use std::time::Duration;

use kit::{
    Endpoint, Transport,
    layer::{
        adaptive::{
            Adaptive, AdaptiveConfig,
            bbr::{Bbr, BbrConfig},
        },
        breaker::{Breaker, BreakerConfig},
        concurrency::{Concurrency, ConcurrencyConfig},
        hedge::{Hedge, HedgeConfig},
        retry::{Retry, RetryConfig},
        throttle::{Throttle, ThrottleConfig},
        timeout::{TimeoutConfig, TimeoutLayer},
    },
    middleware::{ClientStackConfig, ServerStackConfig, StandardStack},
};

use super::{Echo, server::Cpu};

/// The settings of a client; those of the standard chain unless a simulation says otherwise, and says why.
#[derive(Clone, Default)]
pub(crate) struct Client {
    /// How long a call may take. The default of the layer, 10 s, in the place of `None`.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: RetryConfig,
    /// None: for reads with several replicas, so nobody has it without asking.
    pub(crate) hedge: Option<HedgeConfig>,
    pub(crate) throttle: ThrottleConfig,
    pub(crate) breaker: BreakerConfig,
    pub(crate) concurrency: Option<ConcurrencyConfig>,
}

impl Client {
    fn timeout(&self) -> TimeoutConfig {
        let default = TimeoutConfig::default();
        TimeoutConfig { unary: self.timeout.or(default.unary), ..default }
    }
}

/// The standard chain of a client.
pub(crate) fn client_chain(config: &Client, channel: Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
    let settings = ClientStackConfig {
        timeout: config.timeout(),
        retry: Some(config.retry.clone()),
        hedge: config.hedge.clone(),
        throttle: Some(config.throttle.clone()),
        breaker: Some(config.breaker.clone()),
        concurrency: config.concurrency.clone(),
        ..ClientStackConfig::default()
    };
    channel.with(&StandardStack::client(&settings, Transport::Local).unwrap())
}

/// The part of that chain that knows nothing of replicas. Where there are several, what belongs to each of them stands behind whoever
/// chooses one, which will be the balancer: so the chain is put together from its layers here, in the same order.
pub(crate) fn per_service(config: &Client, inner: Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
    let retry = Retry::new(&config.retry).unwrap();
    let hedge = config.hedge.as_ref().map(|hedge| Hedge::new(hedge).unwrap().with_budget(retry.budget()));
    let inner = inner.with(&Throttle::new(&config.throttle).unwrap()).with(&hedge).with(&retry);
    inner.layer(TimeoutLayer::client(config.timeout().unary))
}

/// The part of a client's chain that there is for each replica, and its breaker.
pub(crate) fn per_replica(config: &Client, channel: Endpoint<Echo, Echo>) -> (Endpoint<Echo, Echo>, Breaker) {
    let breaker = Breaker::new(&config.breaker).unwrap();
    let limit = config.concurrency.as_ref().map(|limit| Concurrency::new(limit).unwrap());
    (channel.with(&limit).with(&breaker), breaker)
}

/// What a server's chain has that a simulation wants to see.
pub(crate) struct Serving {
    pub(crate) endpoint: Endpoint<Echo, Echo>,
    pub(crate) adaptive: Adaptive,
}

/// The standard chain of a server, with an adaptive limit, which is the one layer for overload that needs no figure of the owner's. It
/// and BBR stand around it and not in it, at the places that they have there: one to be looked at, the other with processors that are
/// not those of this machine.
pub(crate) fn server_chain(handler: Endpoint<Echo, Echo>, cpu: Cpu) -> Serving {
    let adaptive = Adaptive::new(&AdaptiveConfig::default()).unwrap();
    let bbr = Bbr::with_cpu(&BbrConfig::default(), cpu).unwrap();
    let standard = StandardStack::server(&ServerStackConfig { bbr: None, ..ServerStackConfig::default() }).unwrap();
    Serving { endpoint: handler.with(&adaptive).with(&bbr).with(&standard), adaptive }
}
