use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    duration,
    layer::{
        methods,
        retry::{BudgetConfig, MAX_REPLAY},
        timeout::{read_limit, write_limit},
    },
    validate::{Validate, Violations},
};

/// "The Tail at Scale" (Dean and Barroso, 2013): a second request after the 95th percentile adds about 5 % of load.
const QUANTILE: f64 = 0.95;
/// Five samples above a 95th percentile: with fewer it says little.
const MIN_SAMPLES: u32 = 100;
/// The call and one hedge, as in the same article.
const MAX_ATTEMPTS: u32 = 2;
/// The most that gRPC takes (gRFC A6).
const MOST_ATTEMPTS: u32 = 5;
/// The resolution of Tokio's timers: what is faster can't be hedged in time.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// When a second request is sent beside the first.
///
/// ```
/// use kit::layer::hedge::HedgeConfig;
///
/// let config: HedgeConfig = serde_json::from_str(r#"{"delay": "20ms", "budget": {"ratio": 0.05}}"#)?;
/// assert_eq!((config.max_attempts, config.budget.ratio), (2, 0.05));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HedgeConfig {
    /// A request is followed by the next after this time, `"none"` for the quantile of how long calls took so far. Default: none.
    #[serde(serialize_with = "write_limit", deserialize_with = "read_limit")]
    pub delay: Option<Duration>,
    /// Which quantile, above 0 and below 1. Default: 0.95.
    pub quantile: f64,
    /// The shortest delay that a quantile gives. Default: 1 ms.
    #[serde(with = "duration")]
    pub min_delay: Duration,
    /// How many calls of the last half to full minute must have been answered before a quantile counts. Default: 100.
    pub min_samples: u32,
    /// How many requests one call makes at most, the first among them: 1 to 5, 1 is no hedging. Default: 2.
    pub max_attempts: u32,
    /// The largest request that is kept to be sent again; a larger one is sent once. Default: 64 KiB.
    #[serde(with = "crate::size")]
    pub max_replay: u64,
    /// Methods that may be called twice although their `.proto` file does not say so: `Reserve` or `shop.Shop/Reserve`.
    pub methods: BTreeSet<String>,
    /// How many requests may be sent beyond the first ones.
    pub budget: BudgetConfig,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self {
            delay: None,
            quantile: QUANTILE,
            min_delay: MIN_DELAY,
            min_samples: MIN_SAMPLES,
            max_attempts: MAX_ATTEMPTS,
            max_replay: MAX_REPLAY,
            methods: BTreeSet::new(),
            budget: BudgetConfig::default(),
        }
    }
}

impl HedgeConfig {
    /// Lets a method be called twice although its `.proto` file does not say so.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>) -> Self {
        self.methods.insert(method.into());
        self
    }
}

/// Refuses settings with which no call would be made, or nothing learned.
impl Validate for HedgeConfig {
    fn validate(&self, report: &mut Violations) {
        let zero = "is zero, which doubles every request: use a time, or none";
        report.require(self.delay != Some(Duration::ZERO), "delay", zero);
        if !(self.quantile > 0.0 && self.quantile < 1.0) {
            let quantile = self.quantile;
            report.add("quantile", format!("is {quantile}: use a number above 0 and below 1, such as 0.95"));
        }
        report.require(self.min_samples > 0, "min_samples", "is zero: a quantile needs samples");
        match self.max_attempts {
            0 => report.add("max_attempts", "is zero: no call would be made; 1 is no hedging"),
            1..=MOST_ATTEMPTS => {}
            more => report.add("max_attempts", format!("is {more}: use 1 to {MOST_ATTEMPTS}")),
        }
        methods::validate_names(&self.methods, report);
        report.section("budget", &self.budget);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layer::change::merged;

    #[test]
    fn what_can_not_be_is_refused_by_name() {
        for (changes, message) in [
            (json!({"max_attempts": 0}), "max_attempts is zero: no call would be made; 1 is no hedging"),
            (json!({"max_attempts": 6}), "max_attempts is 6: use 1 to 5"),
            (json!({"quantile": 95}), "quantile is 95: use a number above 0 and below 1, such as 0.95"),
            (json!({"min_samples": 0}), "min_samples is zero: a quantile needs samples"),
            (
                json!({"methods": ["a b"]}),
                "methods has \"a b\", which is no name of a method: write Detail, or details.BookDetails/Detail",
            ),
            (
                json!({"budget": {"ratio": -1}}),
                "budget.ratio is -1: use 0 to 1, the share of calls that may be repeated",
            ),
        ] {
            let config = merged("hedge", &HedgeConfig::default(), &changes).unwrap();
            assert_eq!(config.check("hedge").unwrap_err().message(), format!("hedge.{message}"));
        }
        HedgeConfig::default().check("hedge").unwrap();
        merged("hedge", &HedgeConfig::default(), &json!({"delay": "0s"})).unwrap_err();
        let wrong = HedgeConfig {
            delay: Some(Duration::ZERO),
            quantile: f64::NAN,
            min_samples: 0,
            max_attempts: 0,
            ..HedgeConfig::default()
        };
        let mut report = Violations::default();
        wrong.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["delay", "quantile", "min_samples", "max_attempts"], "all that is wrong is told");
    }

    #[test]
    fn texts_are_read_and_written() {
        let text = serde_json::to_value(HedgeConfig::default()).unwrap();
        assert_eq!((&text["delay"], &text["min_delay"]), (&json!("none"), &json!("1ms")));
        assert_eq!(serde_json::from_value::<HedgeConfig>(text).unwrap(), HedgeConfig::default());
    }
}
