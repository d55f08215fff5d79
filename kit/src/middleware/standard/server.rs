//! The layers of a service's chain that are made from settings.

use super::{ServerStackConfig, live::Live, served::Gates};
use crate::{
    Error, LayerInfo, Method,
    layer::{
        adaptive::{
            Adaptive, AdaptiveLayer,
            bbr::{Bbr, BbrLayer},
        },
        auth::AuthLayer,
        authorize::AuthorizeLayer,
        breaker::{Breaker, BreakerLayer},
        concurrency::{Concurrency, ConcurrencyLayer},
        fault::{Fault, FaultLayer},
        rate_limit::{RateLimit, RateLimitLayer, RateLimits},
        timeout::{TimeoutLayer, TimeoutLimits},
        validation::{Validation, ValidationLayer},
    },
    validate::Validate as _,
};

/// What all methods of a service share.
#[derive(Clone)]
pub(super) struct ServerChain {
    live: Live<ServerStackConfig>,
    bbr: Option<Bbr>,
    rate_limits: Option<RateLimits>,
    concurrency: Option<Concurrency>,
    adaptive: Option<Adaptive>,
    fault: Option<Fault>,
}

/// The layers of one method, and the handles that tell of them.
pub(super) struct ServerLayers {
    pub(super) timeout: TimeoutLayer,
    pub(super) bbr: BbrLayer,
    pub(super) rate_limit: RateLimitLayer,
    pub(super) concurrency: ConcurrencyLayer,
    pub(super) adaptive: AdaptiveLayer,
    pub(super) validation: ValidationLayer,
    pub(super) breaker: BreakerLayer,
    pub(super) fault: FaultLayer,
    #[cfg(feature = "metrics")]
    pub(super) handles: Handles,
}

/// The state behind the layers.
#[derive(Clone, Default)]
pub(super) struct Handles {
    pub(super) bbr: Option<Bbr>,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) concurrency: Option<Concurrency>,
    pub(super) adaptive: Option<Adaptive>,
    pub(super) validation: Option<Validation>,
    pub(super) breaker: Option<Breaker>,
    pub(super) fault: Option<Fault>,
}

impl Default for ServerChain {
    fn default() -> Self {
        let config = ServerStackConfig::default();
        // The defaults can be: a test says so.
        let bbr = config.bbr.as_ref().and_then(|config| Bbr::new(config).ok());
        Self { live: Live::new(config), bbr, rate_limits: None, concurrency: None, adaptive: None, fault: None }
    }
}

impl ServerChain {
    pub(super) fn new(config: &ServerStackConfig) -> Result<Self, Error> {
        config.check("")?;
        Ok(Self {
            live: Live::new(config.clone()),
            bbr: config.bbr.as_ref().map(Bbr::new).transpose()?,
            rate_limits: config.rate_limit.as_ref().map(RateLimits::new).transpose()?,
            concurrency: config.concurrency.as_ref().map(Concurrency::new).transpose()?,
            adaptive: config.adaptive.as_ref().map(Adaptive::new).transpose()?,
            fault: config.fault.as_ref().map(Fault::new).transpose()?,
        })
    }

    pub(super) fn check(&self, config: &ServerStackConfig) -> Result<(), Error> {
        self.live.check(config)
    }

    pub(super) fn reconfigure(&self, config: &ServerStackConfig) -> Result<(), Error> {
        self.live.reconfigure(config, |config| {
            set(self.bbr.as_ref(), config.bbr.as_ref(), Bbr::reconfigure)?;
            set(self.rate_limits.as_ref(), config.rate_limit.as_ref(), RateLimits::reconfigure)?;
            set(self.concurrency.as_ref(), config.concurrency.as_ref(), Concurrency::reconfigure)?;
            set(self.adaptive.as_ref(), config.adaptive.as_ref(), Adaptive::reconfigure)?;
            set(self.fault.as_ref(), config.fault.as_ref(), Fault::reconfigure)
        })
    }

    pub(super) fn layers(&self, method: &Method) -> Result<ServerLayers, Error> {
        let (config, is_own) = self.live.of(method)?;
        let limits = TimeoutLimits::of(&config.timeout, method);
        let handles = Handles {
            bbr: self.bbr.clone(),
            rate_limit: {
                // Limits of a family share a connection, where they are kept elsewhere.
                let shared = self.rate_limits.as_ref().map(|family| family.of(method));
                own_or(is_own("rate_limit"), &shared, config.rate_limit.as_ref(), |c| RateLimit::for_method(c, method))?
            },
            concurrency: own_or(
                is_own("concurrency"),
                &self.concurrency,
                config.concurrency.as_ref(),
                Concurrency::new,
            )?,
            adaptive: own_or(is_own("adaptive"), &self.adaptive, config.adaptive.as_ref(), Adaptive::new)?,
            validation: config.validation.as_ref().map(Validation::new).transpose()?,
            breaker: config.breaker.as_ref().map(Breaker::new).transpose()?,
            fault: self.fault.clone(),
        };
        let layers = ServerLayers {
            timeout: TimeoutLayer::server(limits.clone()),
            bbr: handles.bbr.as_ref().map_or_else(BbrLayer::none, BbrLayer::new).for_method(method),
            rate_limit: handles.rate_limit.as_ref().map_or_else(RateLimitLayer::none, RateLimitLayer::new),
            concurrency: handles
                .concurrency
                .as_ref()
                .map_or_else(ConcurrencyLayer::none, ConcurrencyLayer::new)
                .for_method(method),
            adaptive: handles.adaptive.as_ref().map_or_else(AdaptiveLayer::none, AdaptiveLayer::new).for_method(method),
            validation: handles.validation.as_ref().map_or_else(ValidationLayer::none, ValidationLayer::new),
            breaker: handles.breaker.as_ref().map_or_else(BreakerLayer::none, BreakerLayer::new),
            fault: handles.fault.as_ref().map_or_else(FaultLayer::none, |fault| FaultLayer::new(fault, method)),
            #[cfg(feature = "metrics")]
            handles: handles.clone(),
        };
        // What all methods share is changed once, by the chain.
        let [rate_limit, concurrency, adaptive] = ["rate_limit", "concurrency", "adaptive"].map(is_own);
        let own = Handles {
            rate_limit: handles.rate_limit.filter(|_| rate_limit),
            concurrency: handles.concurrency.filter(|_| concurrency),
            adaptive: handles.adaptive.filter(|_| adaptive),
            breaker: handles.breaker,
            ..Handles::default()
        };
        self.live.follow(method, limits, move |config| {
            set(own.rate_limit.as_ref(), config.rate_limit.as_ref(), RateLimit::reconfigure)?;
            set(own.breaker.as_ref(), config.breaker.as_ref(), Breaker::reconfigure)?;
            set(own.concurrency.as_ref(), config.concurrency.as_ref(), Concurrency::reconfigure)?;
            set(own.adaptive.as_ref(), config.adaptive.as_ref(), Adaptive::reconfigure)
        });
        Ok(layers)
    }

    #[cfg(test)]
    pub(super) fn followed(&self) -> usize {
        self.live.followed()
    }

    pub(super) fn config(&self) -> ServerStackConfig {
        self.live.config()
    }
}

impl ServerLayers {
    /// What calls pass, with what finds out who calls.
    pub(super) fn gates(self, auth: AuthLayer, authorize: AuthorizeLayer) -> Gates {
        Gates {
            timeout: self.timeout.limits,
            bbr: self.bbr.guard,
            auth: auth.gate,
            authorize: authorize.judge,
            rate_limit: self.rate_limit.limit,
            limit: self.concurrency.enter.or(self.adaptive.enter),
            validation: self.validation.validation,
            breaker: self.breaker.breaker,
            fault: self.fault.faults,
        }
    }

    /// From the outside in, with what finds out who calls; without the check of requests where there is nothing to check.
    pub(super) fn infos(
        &self,
        [auth, authorize]: [Option<LayerInfo>; 2],
        is_ruled: bool,
    ) -> impl Iterator<Item = LayerInfo> {
        let infos = [
            Some(self.timeout.info()),
            self.bbr.info(),
            auth,
            authorize,
            self.rate_limit.info(),
            self.concurrency.info(),
            self.adaptive.info(),
            self.validation.info().filter(|_| is_ruled),
            self.breaker.info(),
            self.fault.info(),
        ];
        infos.into_iter().flatten()
    }
}

/// The handle that all share, or one of the method's own.
pub(super) fn own_or<H: Clone, C>(
    own: bool,
    shared: &Option<H>,
    config: Option<&C>,
    new: impl FnOnce(&C) -> Result<H, Error>,
) -> Result<Option<H>, Error> {
    match config {
        None => Ok(None),
        Some(config) if own || shared.is_none() => new(config).map(Some),
        Some(_) => Ok(shared.clone()),
    }
}

/// Hands settings to a layer that is there.
pub(super) fn set<H, C>(
    handle: Option<&H>,
    config: Option<&C>,
    reconfigure: impl FnOnce(&H, &C) -> Result<(), Error>,
) -> Result<(), Error> {
    match (handle, config) {
        (Some(handle), Some(config)) => reconfigure(handle, config),
        _ => Ok(()),
    }
}
