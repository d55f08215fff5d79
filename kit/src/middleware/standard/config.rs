use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    methods::{self, ChainConfig, MethodSettings, OfServices},
    section,
};
use crate::{
    ServiceInfo,
    layer::{
        adaptive::{AdaptiveConfig, bbr::BbrConfig},
        breaker::BreakerConfig,
        concurrency::ConcurrencyConfig,
        fault::FaultConfig,
        hedge::HedgeConfig,
        rate_limit::RateLimitConfig,
        retry::{BudgetConfig, RetryConfig},
        throttle::ThrottleConfig,
        timeout::TimeoutConfig,
        validation::ValidationConfig,
    },
    validate::{Validate, Violations},
};

/// The settings of the [standard chain](super::StandardStack) of a service. A layer is left out with `none`, and there with a
/// section, even an empty one.
///
/// ```
/// use kit::middleware::ServerStackConfig;
///
/// let config: ServerStackConfig = serde_json::from_str(r#"{
///     "rate_limit": { "limit": 100 },
///     "bbr": "none",
///     "methods": { "Export": { "timeout": "5m", "rate_limit": { "limit": 1, "per": "1m" } } }
/// }"#)?;
/// assert!(config.bbr.is_none() && config.rate_limit.is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerStackConfig {
    /// How long calls may take. Default: 10 s without streams.
    pub timeout: TimeoutConfig,
    /// The protection of the whole process, which acts when its processors are busy. Default: above 80 %.
    #[serde(with = "section")]
    pub bbr: Option<BbrConfig>,
    /// How many calls begin in a time, for each method. Default: none, a service knows its own.
    #[serde(with = "section")]
    pub rate_limit: Option<RateLimitConfig>,
    /// How many calls run at once, in all methods together. Default: none, because streams count until they end, and how many of
    /// them are too many only a service knows.
    #[serde(with = "section")]
    pub concurrency: Option<ConcurrencyConfig>,
    /// The same, with a limit that finds itself, in the place of a fixed one. Default: none.
    #[serde(with = "section")]
    pub adaptive: Option<AdaptiveConfig>,
    /// The check of requests against the rules of their `.proto` file. Default: there.
    #[serde(with = "section")]
    pub validation: Option<ValidationConfig>,
    /// The breaker of each method. Default: none; what a service needs to be spared it is asked by its clients.
    #[serde(with = "section")]
    pub breaker: Option<BreakerConfig>,
    /// Delays and errors on purpose, for tests. Default: none.
    #[serde(with = "section")]
    pub fault: Option<FaultConfig>,
    /// What single methods have otherwise. Default: nothing.
    pub methods: MethodSettings,
}

/// The settings of the [standard chain](super::StandardStack) of a client. A layer is left out with `none`, and there with a
/// section, even an empty one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientStackConfig {
    /// How long calls may take, all attempts together. Default: 10 s without streams.
    pub timeout: TimeoutConfig,
    /// When calls are made again. Default: those that may be, up to three attempts, a fifth of the calls and ten a second.
    #[serde(with = "section")]
    pub retry: Option<RetryConfig>,
    /// When a second request is sent before the first is answered. Default: none, it costs the service up to a fifth more.
    #[serde(with = "section")]
    pub hedge: Option<HedgeConfig>,
    /// Refuses a share of the calls here while the service refuses many, in all methods together. Default: there.
    #[serde(with = "section")]
    pub throttle: Option<ThrottleConfig>,
    /// The breaker of each method. Default: there.
    #[serde(with = "section")]
    pub breaker: Option<BreakerConfig>,
    /// How many calls run at once, in all methods together, so that a slow service does not take all of this one. Default: none.
    #[serde(with = "section")]
    pub concurrency: Option<ConcurrencyConfig>,
    /// The same, with a limit that finds itself, in the place of a fixed one. Default: none.
    #[serde(with = "section")]
    pub adaptive: Option<AdaptiveConfig>,
    /// Delays and errors on purpose, for tests. Default: none.
    #[serde(with = "section")]
    pub fault: Option<FaultConfig>,
    /// What single methods have otherwise. Default: nothing.
    pub methods: MethodSettings,
}

impl Default for ServerStackConfig {
    fn default() -> Self {
        Self {
            timeout: TimeoutConfig::default(),
            bbr: Some(BbrConfig::default()),
            rate_limit: None,
            concurrency: None,
            adaptive: None,
            validation: Some(ValidationConfig::default()),
            breaker: None,
            fault: None,
            methods: MethodSettings::default(),
        }
    }
}

impl Default for ClientStackConfig {
    fn default() -> Self {
        Self {
            timeout: TimeoutConfig::default(),
            retry: Some(RetryConfig::default()),
            hedge: None,
            throttle: Some(ThrottleConfig::default()),
            breaker: Some(BreakerConfig::default()),
            concurrency: None,
            adaptive: None,
            fault: None,
            methods: MethodSettings::default(),
        }
    }
}

impl ServerStackConfig {
    /// What one method has otherwise: an object with sections, of which only what differs is said. The name is `Detail`, or whole:
    /// `details.BookDetails/Detail`. What is wrong is refused where the settings are used.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>, settings: Value) -> Self {
        self.methods.insert(method.into(), settings);
        self
    }

    /// The settings as those of these services, so that methods which they don't have are reported too: a misspelt one would keep
    /// the common settings unseen. `report.section("standard", &self.standard.of(&[BookDetailsEndpoints::SERVICE]))`
    pub fn of<'a>(&'a self, services: &'a [&'a ServiceInfo]) -> impl Validate + 'a {
        OfServices { config: self, services }
    }
}

impl Validate for ServerStackConfig {
    fn validate(&self, report: &mut Violations) {
        methods::validate(self, report);
    }
}

impl ClientStackConfig {
    /// What one method has otherwise: an object with sections, of which only what differs is said. The name is `Detail`, or whole:
    /// `details.BookDetails/Detail`. What is wrong is refused where the settings are used.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>, settings: Value) -> Self {
        self.methods.insert(method.into(), settings);
        self
    }

    /// The settings as those of these services, so that methods which they don't have are reported too: a misspelt one would keep
    /// the common settings unseen. `report.section("standard", &self.standard.of(&[BookDetailsEndpoints::SERVICE]))`
    pub fn of<'a>(&'a self, services: &'a [&'a ServiceInfo]) -> impl Validate + 'a {
        OfServices { config: self, services }
    }
}

impl Validate for ClientStackConfig {
    fn validate(&self, report: &mut Violations) {
        methods::validate(self, report);
    }
}

/// Of two limits of the same thing one would hide the other.
fn either(concurrency: bool, adaptive: bool, report: &mut Violations) {
    let why = "is there beside concurrency, which limits the same calls: set one of them to none";
    report.require(!(concurrency && adaptive), "adaptive", why);
}

impl ChainConfig for ServerStackConfig {
    const WHOLE: &'static [&'static str] = &["bbr", "fault"];
    const FIXED: &'static [&'static str] = &["validation"];
    const SHARED: &'static [&'static str] = &["rate_limit", "concurrency", "adaptive"];

    fn layers(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("bbr", self.bbr.is_some()),
            ("rate_limit", self.rate_limit.is_some()),
            ("concurrency", self.concurrency.is_some()),
            ("adaptive", self.adaptive.is_some()),
            ("validation", self.validation.is_some()),
            ("breaker", self.breaker.is_some()),
            ("fault", self.fault.is_some()),
        ]
    }

    fn timeout(&self) -> &TimeoutConfig {
        &self.timeout
    }

    fn methods(&self) -> &MethodSettings {
        &self.methods
    }

    fn methods_mut(&mut self) -> &mut MethodSettings {
        &mut self.methods
    }

    fn validate_common(&self, report: &mut Violations) {
        report.section("timeout", &self.timeout);
        optional("bbr", self.bbr.as_ref(), report);
        optional("rate_limit", self.rate_limit.as_ref(), report);
        optional("concurrency", self.concurrency.as_ref(), report);
        optional("adaptive", self.adaptive.as_ref(), report);
        optional("validation", self.validation.as_ref(), report);
        optional("breaker", self.breaker.as_ref(), report);
        optional("fault", self.fault.as_ref(), report);
        either(self.concurrency.is_some(), self.adaptive.is_some(), report);
    }
}

impl ChainConfig for ClientStackConfig {
    const WHOLE: &'static [&'static str] = &["throttle", "fault", "retry.budget", "hedge.budget"];
    const FIXED: &'static [&'static str] = &[];
    const SHARED: &'static [&'static str] = &["concurrency", "adaptive", "retry", "hedge"];

    fn layers(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("retry", self.retry.is_some()),
            ("hedge", self.hedge.is_some()),
            ("throttle", self.throttle.is_some()),
            ("breaker", self.breaker.is_some()),
            ("concurrency", self.concurrency.is_some()),
            ("adaptive", self.adaptive.is_some()),
            ("fault", self.fault.is_some()),
        ]
    }

    fn timeout(&self) -> &TimeoutConfig {
        &self.timeout
    }

    fn methods(&self) -> &MethodSettings {
        &self.methods
    }

    fn methods_mut(&mut self) -> &mut MethodSettings {
        &mut self.methods
    }

    fn validate_common(&self, report: &mut Violations) {
        report.section("timeout", &self.timeout);
        optional("retry", self.retry.as_ref(), report);
        optional("hedge", self.hedge.as_ref(), report);
        if let (Some(retry), Some(hedge)) = (&self.retry, &self.hedge) {
            let used = hedge.budget == retry.budget || hedge.budget == BudgetConfig::default();
            report.require(
                used,
                "hedge.budget",
                "is not used: retry.budget pays for retries and hedged requests alike",
            );
        }
        optional("throttle", self.throttle.as_ref(), report);
        optional("breaker", self.breaker.as_ref(), report);
        optional("concurrency", self.concurrency.as_ref(), report);
        optional("adaptive", self.adaptive.as_ref(), report);
        optional("fault", self.fault.as_ref(), report);
        either(self.concurrency.is_some(), self.adaptive.is_some(), report);
    }
}

fn optional(key: &str, section: Option<&impl Validate>, report: &mut Violations) {
    if let Some(section) = section {
        report.section(key, section);
    }
}
