//! The layers of a client's chain that are made from settings.

use super::{
    ClientStackConfig,
    live::Live,
    server::{own_or, set},
};
use crate::{
    Error, LayerInfo, Method,
    layer::{
        adaptive::{Adaptive, AdaptiveLayer},
        breaker::{Breaker, BreakerLayer},
        concurrency::{Concurrency, ConcurrencyLayer},
        fault::{Fault, FaultLayer},
        hedge::{Hedge, HedgeLayer},
        retry::{Retry, RetryBudget, RetryConfig, RetryLayer},
        throttle::{Throttle, ThrottleLayer},
        timeout::{TimeoutLayer, TimeoutLimits},
    },
    validate::Validate as _,
};

/// What all methods of a client share.
#[derive(Clone)]
pub(super) struct ClientChain {
    live: Live<ClientStackConfig>,
    /// What pays for all further attempts, retries and hedged requests alike.
    budget: RetryBudget,
    retry: Option<Retry>,
    hedge: Option<Hedge>,
    throttle: Option<Throttle>,
    concurrency: Option<Concurrency>,
    adaptive: Option<Adaptive>,
    fault: Option<Fault>,
}

/// The layers of one method, and the handles that tell of them.
pub(super) struct ClientLayers {
    pub(super) timeout: TimeoutLayer,
    pub(super) retry: RetryLayer,
    pub(super) hedge: HedgeLayer,
    pub(super) throttle: ThrottleLayer,
    pub(super) breaker: BreakerLayer,
    pub(super) concurrency: ConcurrencyLayer,
    pub(super) adaptive: AdaptiveLayer,
    pub(super) fault: FaultLayer,
    #[cfg(feature = "metrics")]
    pub(super) handles: Handles,
}

/// The state behind the layers.
#[derive(Clone, Default)]
pub(super) struct Handles {
    pub(super) retry: Option<Retry>,
    pub(super) hedge: Option<Hedge>,
    pub(super) throttle: Option<Throttle>,
    pub(super) breaker: Option<Breaker>,
    pub(super) concurrency: Option<Concurrency>,
    pub(super) adaptive: Option<Adaptive>,
    pub(super) fault: Option<Fault>,
}

impl ClientChain {
    pub(super) fn new(config: &ClientStackConfig) -> Result<Self, Error> {
        config.check("")?;
        let budget = match (&config.retry, &config.hedge) {
            (Some(retry), _) => RetryBudget::new(&retry.budget)?,
            (None, Some(hedge)) => RetryBudget::new(&hedge.budget)?,
            (None, None) => RetryBudget::new(&RetryConfig::default().budget)?,
        };
        Ok(Self {
            live: Live::new(config.clone()),
            retry: config.retry.as_ref().map(|c| retry(c, &budget)).transpose()?,
            hedge: config.hedge.as_ref().map(|c| hedge(c, &budget)).transpose()?,
            throttle: config.throttle.as_ref().map(Throttle::new).transpose()?,
            concurrency: config.concurrency.as_ref().map(Concurrency::new).transpose()?,
            adaptive: config.adaptive.as_ref().map(Adaptive::new).transpose()?,
            fault: config.fault.as_ref().map(Fault::new).transpose()?,
            budget,
        })
    }

    pub(super) fn check(&self, config: &ClientStackConfig) -> Result<(), Error> {
        self.live.check(config)
    }

    pub(super) fn reconfigure(&self, config: &ClientStackConfig) -> Result<(), Error> {
        self.live.reconfigure(config, |config| {
            match (&config.retry, &config.hedge) {
                (Some(retry), _) => self.budget.reconfigure(&retry.budget)?,
                (None, Some(hedge)) => self.budget.reconfigure(&hedge.budget)?,
                (None, None) => {}
            }
            set(self.retry.as_ref(), config.retry.as_ref(), Retry::reconfigure)?;
            set(self.hedge.as_ref(), config.hedge.as_ref(), Hedge::reconfigure)?;
            set(self.throttle.as_ref(), config.throttle.as_ref(), Throttle::reconfigure)?;
            set(self.concurrency.as_ref(), config.concurrency.as_ref(), Concurrency::reconfigure)?;
            set(self.adaptive.as_ref(), config.adaptive.as_ref(), Adaptive::reconfigure)?;
            set(self.fault.as_ref(), config.fault.as_ref(), Fault::reconfigure)
        })
    }

    pub(super) fn layers(&self, method: &Method) -> Result<ClientLayers, Error> {
        let (config, is_own) = self.live.of(method)?;
        let limits = TimeoutLimits::of(&config.timeout, method);
        let handles = Handles {
            retry: own_or(is_own("retry"), &self.retry, config.retry.as_ref(), |c| retry(c, &self.budget))?,
            hedge: own_or(is_own("hedge"), &self.hedge, config.hedge.as_ref(), |c| hedge(c, &self.budget))?,
            throttle: self.throttle.clone(),
            breaker: config.breaker.as_ref().map(Breaker::new).transpose()?,
            concurrency: own_or(
                is_own("concurrency"),
                &self.concurrency,
                config.concurrency.as_ref(),
                Concurrency::new,
            )?,
            adaptive: own_or(is_own("adaptive"), &self.adaptive, config.adaptive.as_ref(), Adaptive::new)?,
            fault: self.fault.clone(),
        };
        let layers = ClientLayers {
            timeout: TimeoutLayer::client(limits.clone()),
            retry: handles.retry.as_ref().map_or_else(RetryLayer::none, |retry| RetryLayer::new(retry, method)),
            hedge: handles.hedge.as_ref().map_or_else(HedgeLayer::none, |hedge| HedgeLayer::new(hedge, method)),
            throttle: handles.throttle.as_ref().map_or_else(ThrottleLayer::none, ThrottleLayer::new),
            breaker: handles.breaker.as_ref().map_or_else(BreakerLayer::none, BreakerLayer::new),
            concurrency: handles
                .concurrency
                .as_ref()
                .map_or_else(ConcurrencyLayer::none, ConcurrencyLayer::new)
                .for_method(method),
            adaptive: handles.adaptive.as_ref().map_or_else(AdaptiveLayer::none, AdaptiveLayer::new).for_method(method),
            fault: handles.fault.as_ref().map_or_else(FaultLayer::none, |fault| FaultLayer::new(fault, method)),
            #[cfg(feature = "metrics")]
            handles: handles.clone(),
        };
        // What all methods share is changed once, by the chain.
        let [retry, hedge, concurrency, adaptive] = ["retry", "hedge", "concurrency", "adaptive"].map(is_own);
        let own = Handles {
            retry: handles.retry.filter(|_| retry),
            hedge: handles.hedge.filter(|_| hedge),
            concurrency: handles.concurrency.filter(|_| concurrency),
            adaptive: handles.adaptive.filter(|_| adaptive),
            breaker: handles.breaker,
            ..Handles::default()
        };
        self.live.follow(method, limits, move |config| {
            set(own.breaker.as_ref(), config.breaker.as_ref(), Breaker::reconfigure)?;
            set(own.retry.as_ref(), config.retry.as_ref(), Retry::reconfigure)?;
            set(own.hedge.as_ref(), config.hedge.as_ref(), Hedge::reconfigure)?;
            set(own.concurrency.as_ref(), config.concurrency.as_ref(), Concurrency::reconfigure)?;
            set(own.adaptive.as_ref(), config.adaptive.as_ref(), Adaptive::reconfigure)
        });
        Ok(layers)
    }

    pub(super) fn config(&self) -> ClientStackConfig {
        self.live.config()
    }
}

fn retry(config: &RetryConfig, budget: &RetryBudget) -> Result<Retry, Error> {
    Ok(Retry::new(config)?.with_budget(budget))
}

fn hedge(config: &crate::layer::hedge::HedgeConfig, budget: &RetryBudget) -> Result<Hedge, Error> {
    Ok(Hedge::new(config)?.with_budget(budget))
}

impl ClientLayers {
    /// From the outside in.
    pub(super) fn infos(&self) -> impl Iterator<Item = LayerInfo> {
        let infos = [
            Some(self.timeout.info()),
            self.retry.info(),
            self.hedge.info(),
            self.throttle.info(),
            self.breaker.info(),
            self.concurrency.info(),
            self.adaptive.info(),
            self.fault.info(),
        ];
        infos.into_iter().flatten()
    }
}
