use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::BudgetConfig;
use crate::{
    Idempotency, Method, duration,
    layer::methods,
    layer::timeout::{read_limit, write_limit},
    validate::{Validate, Violations},
};

/// The first and two more: the standard mode of the AWS SDKs. gRPC takes no more than five (gRFC A6).
const MAX_ATTEMPTS: u32 = 3;
/// More than this is a loop, not a policy.
const MOST_ATTEMPTS: u32 = 10;
/// Envoy's default base interval.
const BASE: Duration = Duration::from_millis(25);
/// Envoy's default longest interval, ten times the base.
const MAX: Duration = Duration::from_millis(250);
/// Doubled, as "Exponential Backoff And Jitter" of the AWS Architecture Blog does, and the gRPC texts.
const MULTIPLIER: f64 = 2.0;
/// As long as a call without streams may take by default.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// What Linkerd keeps of a request to replay it.
pub(in crate::layer) const MAX_REPLAY: u64 = 64 * 1024;

/// When calls are made again, and how often.
///
/// ```
/// use kit::layer::retry::RetryConfig;
///
/// let config: RetryConfig = serde_json::from_str(r#"{"max_attempts": 4, "methods": ["Reserve"]}"#)?;
/// assert_eq!((config.max_attempts, config.budget.ratio), (4, 0.2));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// How often a call is made at most, the first time among it: 1 to 10, 1 is no retry. Default: 3.
    pub max_attempts: u32,
    /// How long to wait in between.
    pub backoff: BackoffConfig,
    /// How long one attempt of a method that may be repeated may take until it answers, `"none"` for as long as the call may.
    /// An attempt that is given up for it is repeated. Default: none.
    #[serde(serialize_with = "write_limit", deserialize_with = "read_limit")]
    pub attempt_timeout: Option<Duration>,
    /// The longest delay that a service may ask for: at one that asks for more, the call fails at once. Default: 10 s.
    #[serde(with = "duration")]
    pub max_delay: Duration,
    /// The largest request that is kept to be sent again; a larger one is sent once. Default: 64 KiB.
    #[serde(with = "crate::size")]
    pub max_replay: u64,
    /// Methods that may be repeated although their `.proto` file does not say so: `Reserve` or `shop.Shop/Reserve`.
    pub methods: BTreeSet<String>,
    /// How many attempts may be made beyond the first ones.
    pub budget: BudgetConfig,
}

/// Exponential backoff with full jitter: the wait before the n-th retry is a random time between zero and `base` times
/// `multiplier` to the power of n - 1, at most `max`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// The longest wait before the first retry. Default: 25 ms.
    #[serde(with = "duration")]
    pub base: Duration,
    /// The longest wait before any. Default: 250 ms.
    #[serde(with = "duration")]
    pub max: Duration,
    /// How much longer each may be than the one before it, 1 to 10. Default: 2.
    pub multiplier: f64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: MAX_ATTEMPTS,
            backoff: BackoffConfig::default(),
            attempt_timeout: None,
            max_delay: MAX_DELAY,
            max_replay: MAX_REPLAY,
            methods: BTreeSet::new(),
            budget: BudgetConfig::default(),
        }
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { base: BASE, max: MAX, multiplier: MULTIPLIER }
    }
}

impl RetryConfig {
    /// Lets a method be repeated although its `.proto` file does not say so.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>) -> Self {
        self.methods.insert(method.into());
        self
    }

    /// Whether a method may be called twice.
    pub(super) fn may_repeat(&self, method: &Method) -> bool {
        may_repeat(method, &self.methods)
    }
}

impl BackoffConfig {
    /// How long to wait before a retry, the first of which is 1. `random` is from 0 to 1.
    pub(super) fn wait(&self, retry: u32, random: f64) -> Duration {
        let power = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let most = (self.base.as_secs_f64() * self.multiplier.powi(power)).min(self.max.as_secs_f64());
        Duration::try_from_secs_f64(most * random.clamp(0.0, 1.0)).unwrap_or(self.max)
    }
}

impl Validate for BackoffConfig {
    fn validate(&self, report: &mut Violations) {
        let Self { base, max, multiplier } = self;
        report.require(!base.is_zero(), "base", "is zero: all retries would come at once");
        if max < base {
            let (max, base) = (duration::format(*max), duration::format(*base));
            report.add("max", format!("is {max}: it must not be below base, which is {base}"));
        }
        if !(1.0..=10.0).contains(multiplier) {
            report.add("multiplier", format!("is {multiplier}: use 1 to 10"));
        }
    }
}

/// Refuses settings with which no call would be made, or without end.
impl Validate for RetryConfig {
    fn validate(&self, report: &mut Violations) {
        match self.max_attempts {
            0 => report.add("max_attempts", "is zero: no call would be made; 1 is no retry"),
            1..=MOST_ATTEMPTS => {}
            more => report.add("max_attempts", format!("is {more}: use 1 to {MOST_ATTEMPTS}")),
        }
        report.section("backoff", &self.backoff);
        let zero = "is zero, in which no attempt can be answered: use a time, or none";
        report.require(self.attempt_timeout != Some(Duration::ZERO), "attempt_timeout", zero);
        methods::validate_names(&self.methods, report);
        report.section("budget", &self.budget);
    }
}

/// Whether a method may be called twice: it says so itself, or the settings do.
pub(in crate::layer) fn may_repeat(method: &Method, names: &BTreeSet<String>) -> bool {
    method.idempotency != Idempotency::Unknown || names.iter().any(|name| methods::is(name, method))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layer::change::merged;

    #[test]
    fn what_can_not_be_is_refused_by_name() {
        for (changes, message) in [
            (json!({"max_attempts": 0}), "max_attempts is zero: no call would be made; 1 is no retry"),
            (json!({"max_attempts": 11}), "max_attempts is 11: use 1 to 10"),
            (json!({"backoff": {"base": "0s"}}), "backoff.base is zero: all retries would come at once"),
            (json!({"backoff": {"base": "1s"}}), "backoff.max is 250ms: it must not be below base, which is 1s"),
            (json!({"backoff": {"multiplier": 0.5}}), "backoff.multiplier is 0.5: use 1 to 10"),
            (
                json!({"methods": [""]}),
                "methods has \"\", which is no name of a method: write Detail, or details.BookDetails/Detail",
            ),
            (
                json!({"budget": {"ratio": 1.5}}),
                "budget.ratio is 1.5: use 0 to 1, the share of calls that may be repeated",
            ),
            (json!({"budget": {"per_second": -1}}), "budget.per_second is -1: use 0, or 0.001 to 100000"),
            (json!({"budget": {"per_second": 1e-9}}), "budget.per_second is 0.000000001: use 0, or 0.001 to 100000"),
            (
                json!({"budget": {"burst": 0}}),
                "budget.burst is 0: use 1 to 1000000; to retry nothing, set max_attempts to 1",
            ),
            (
                json!({"budget": {"ratio": 0, "per_second": 0}}),
                "budget never fills: ratio and per_second are both zero",
            ),
        ] {
            let config = merged("retry", &RetryConfig::default(), &changes).unwrap();
            assert_eq!(config.check("retry").unwrap_err().message(), format!("retry.{message}"));
        }
        RetryConfig::default().check("retry").unwrap();
        let zero = RetryConfig { attempt_timeout: Some(Duration::ZERO), ..RetryConfig::default() };
        assert!(zero.check("retry").unwrap_err().message().starts_with("retry.attempt_timeout is zero"));
        merged("retry", &RetryConfig::default(), &json!({"budgets": {}})).unwrap_err();
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let config = RetryConfig {
            max_attempts: 0,
            backoff: BackoffConfig { base: Duration::ZERO, max: MAX, multiplier: f64::NAN },
            methods: ["".to_owned(), "a b".to_owned()].into(),
            budget: BudgetConfig { ratio: f64::NAN, per_second: f64::INFINITY, burst: 0 },
            ..RetryConfig::default()
        };
        let mut report = Violations::default();
        config.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key).collect();
        let backoff = ["backoff.base", "backoff.multiplier"];
        let budget = ["budget.ratio", "budget.per_second", "budget.burst"];
        assert_eq!(keys, [&["max_attempts"][..], &backoff, &["methods", "methods"], &budget].concat());
    }

    #[test]
    fn texts_are_read_and_written() {
        let config: RetryConfig =
            serde_json::from_str(r#"{"attempt_timeout": "250ms", "max_replay": "1MiB", "backoff": {"max": "1s"}}"#)
                .unwrap();
        assert_eq!((config.attempt_timeout, config.max_replay), (Some(Duration::from_millis(250)), 1 << 20));
        assert_eq!(config.backoff, BackoffConfig { max: Duration::from_secs(1), ..BackoffConfig::default() });
        let text = serde_json::to_value(RetryConfig::default()).unwrap();
        assert_eq!((&text["attempt_timeout"], &text["max_replay"]), (&json!("none"), &json!("64KiB")));
        assert_eq!(serde_json::from_value::<RetryConfig>(text).unwrap(), RetryConfig::default());
    }

    #[test]
    fn waits_grow_to_the_longest() {
        let backoff = BackoffConfig::default();
        let waits: Vec<_> = (1..=6).map(|retry| backoff.wait(retry, 1.0).as_millis()).collect();
        assert_eq!(waits, [25, 50, 100, 200, 250, 250]);
        assert_eq!(backoff.wait(3, 0.5), Duration::from_millis(50));
        assert_eq!(backoff.wait(1, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(u32::MAX, 1.0), Duration::from_millis(250));
    }
}
