use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    duration,
    layer::concurrency::PriorityConfig,
    validate::{Validate, Violations},
};

/// What kratos has; go-zero has 90 %.
const CPU_THRESHOLD: f64 = 0.8;

/// What kratos has.
const WINDOW: Duration = Duration::from_secs(10);

/// What kratos has: a tenth of a second each.
const BUCKETS: u32 = 100;

/// What go-zero has.
const INTERVAL: Duration = Duration::from_millis(250);

/// Ours: a jump to full load is seen after a second. With 0.95, which kratos and go-zero have, it takes eight, and by then whoever waits
/// has given up.
const DECAY: f64 = 0.7;

/// Ours: with so few at once nobody waits long. Two calls that meet in a service with little to do are no overload, however busy the
/// processors are.
const MIN_IN_FLIGHT: u32 = 4;

/// What kratos and go-zero have.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// Twice: when all but critical calls are refused, and there are still too many, even they have to be.
const CRITICAL_HEADROOM: f64 = 2.0;

/// The shortest time that `Retry-After` can say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The settings of the protection; by convention the section `bbr`.
///
/// ```
/// use kit::layer::adaptive::bbr::BbrConfig;
///
/// let config: BbrConfig = serde_json::from_str(r#"{ "cpu_threshold": 0.9 }"#)?;
/// assert_eq!((config.cpu_threshold, config.buckets), (0.9, 100));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BbrConfig {
    /// From which share of the processors on calls may be refused: above 0, at most 1. Default: 0.8.
    pub cpu_threshold: f64,
    /// How far back the most calls that were done and the shortest time are looked for. Default: 10 s.
    #[serde(with = "duration")]
    pub window: Duration,
    /// In how many parts the window is counted: from 2 to 1000. Default: 100.
    pub buckets: u32,
    /// How often the processors are looked at. Default: 250 ms.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// How much of the last value stays with each look: from 0 to below 1. Default: 0.7.
    pub decay: f64,
    /// How long after the last refusal calls are still refused when too many run, though the processors are less busy. Default:
    /// 1 s.
    #[serde(with = "duration")]
    pub cool_down: Duration,
    /// How many calls may run at any time: at least 1. Default: 4.
    pub min_in_flight: u32,
    /// How many times more calls may run for a critical one to be refused: at least 1. Default: 2.
    pub critical_headroom: f64,
    /// When callers that were refused are told to come again. Default: 1 s.
    #[serde(with = "duration")]
    pub retry_after: Duration,
    /// Which calls matter more than others; the shares are those of what the service gets done.
    pub priority: PriorityConfig,
}

impl Default for BbrConfig {
    fn default() -> Self {
        Self {
            cpu_threshold: CPU_THRESHOLD,
            window: WINDOW,
            buckets: BUCKETS,
            interval: INTERVAL,
            decay: DECAY,
            cool_down: COOL_DOWN,
            min_in_flight: MIN_IN_FLIGHT,
            critical_headroom: CRITICAL_HEADROOM,
            retry_after: RETRY_AFTER,
            priority: PriorityConfig::default(),
        }
    }
}

/// Refuses settings with which nothing could be learned, or too little be let through.
impl Validate for BbrConfig {
    fn validate(&self, report: &mut Violations) {
        let threshold = self.cpu_threshold > 0.0 && self.cpu_threshold <= 1.0;
        report.require(threshold, "cpu_threshold", "must be above 0 and at most 1, as 0.8 for 80 %");
        let buckets = (2..=1000).contains(&self.buckets);
        report.require(buckets, "buckets", "must be from 2 to 1000");
        let narrow = buckets && self.window < Duration::from_millis(1) * self.buckets;
        let why = "must be at least a millisecond for each of its buckets";
        report.require(!narrow && !self.window.is_zero(), "window", why);
        report.require(!self.interval.is_zero(), "interval", "must be above zero");
        let decay = "must be at least 0 and below 1: with 1 the first value would stay for ever";
        report.require((0.0..1.0).contains(&self.decay), "decay", decay);
        report.require(
            self.min_in_flight > 0,
            "min_in_flight",
            "must be at least 1: without any call there is nothing to learn from",
        );
        let headroom = self.critical_headroom >= 1.0 && self.critical_headroom.is_finite();
        let why = "must be at least 1: critical calls can't have less room than others";
        report.require(headroom, "critical_headroom", why);
        report.section("priority", &self.priority);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_is_named() {
        BbrConfig::default().check("bbr").unwrap();
        for (json, key) in [
            (r#"{"cpu_threshold":0}"#, "cpu_threshold"),
            (r#"{"cpu_threshold":80}"#, "cpu_threshold"),
            (r#"{"buckets":1}"#, "buckets"),
            (r#"{"buckets":1001}"#, "buckets"),
            (r#"{"window":"99ms"}"#, "window"),
            (r#"{"interval":"0s"}"#, "interval"),
            (r#"{"decay":1}"#, "decay"),
            (r#"{"decay":-0.1}"#, "decay"),
            (r#"{"min_in_flight":0}"#, "min_in_flight"),
            (r#"{"critical_headroom":0.5}"#, "critical_headroom"),
            (r#"{"priority":{"normal_share":0}}"#, "priority.normal_share"),
        ] {
            let config: BbrConfig = serde_json::from_str(json).unwrap();
            let error = config.check("bbr").unwrap_err();
            assert!(error.message().starts_with(&format!("bbr.{key} must be")), "{json}: {error}");
        }
        let wrong = BbrConfig {
            cpu_threshold: f64::NAN,
            buckets: u32::MAX,
            decay: f64::NAN,
            critical_headroom: f64::NAN,
            ..BbrConfig::default()
        };
        let mut report = Violations::default();
        wrong.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["cpu_threshold", "buckets", "decay", "critical_headroom"], "all that is wrong is told");
        serde_json::from_str::<BbrConfig>(r#"{"cpu":0.8}"#).unwrap_err();
    }
}
