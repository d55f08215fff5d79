use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{duration, layer::concurrency::PriorityConfig};

/// What kratos has; go-zero has 90 %.
const CPU_THRESHOLD: f64 = 0.8;

/// What kratos has.
const WINDOW: Duration = Duration::from_secs(10);

/// What kratos has: a tenth of a second each.
const BUCKETS: u32 = 100;

/// What go-zero has.
const INTERVAL: Duration = Duration::from_millis(250);

/// What kratos and go-zero have: a reading counts for a twentieth, so a jump is seen after some seconds.
const DECAY: f64 = 0.95;

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
    /// How much of the last value stays with each look: from 0 to below 1. Default: 0.95.
    pub decay: f64,
    /// How long after the last refusal calls are still refused when too many run, though the processors are less busy. Default:
    /// 1 s.
    #[serde(with = "duration")]
    pub cool_down: Duration,
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
            critical_headroom: CRITICAL_HEADROOM,
            retry_after: RETRY_AFTER,
            priority: PriorityConfig::default(),
        }
    }
}

impl BbrConfig {
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key, why: &str| Err((key, why.to_owned()));
        if !(self.cpu_threshold > 0.0 && self.cpu_threshold <= 1.0) {
            return wrong("cpu_threshold", "must be above 0 and at most 1, as 0.8 for 80 %");
        }
        if !(2..=1000).contains(&self.buckets) {
            return wrong("buckets", "must be from 2 to 1000");
        }
        if self.window < Duration::from_millis(1) * self.buckets {
            return wrong("window", "must be at least a millisecond for each of its buckets");
        }
        if self.interval.is_zero() {
            return wrong("interval", "must be above zero");
        }
        if !(self.decay >= 0.0 && self.decay < 1.0) {
            return wrong("decay", "must be at least 0 and below 1: with 1 the first value would stay for ever");
        }
        if !(self.critical_headroom >= 1.0 && self.critical_headroom.is_finite()) {
            return wrong("critical_headroom", "must be at least 1: critical calls can't have less room than others");
        }
        self.priority.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_is_named() {
        BbrConfig::default().check().unwrap();
        for (json, key) in [
            (r#"{"cpu_threshold":0}"#, "cpu_threshold"),
            (r#"{"cpu_threshold":80}"#, "cpu_threshold"),
            (r#"{"buckets":1}"#, "buckets"),
            (r#"{"buckets":1001}"#, "buckets"),
            (r#"{"window":"99ms"}"#, "window"),
            (r#"{"interval":"0s"}"#, "interval"),
            (r#"{"decay":1}"#, "decay"),
            (r#"{"decay":-0.1}"#, "decay"),
            (r#"{"critical_headroom":0.5}"#, "critical_headroom"),
            (r#"{"priority":{"normal_share":0}}"#, "priority.normal_share"),
        ] {
            let config: BbrConfig = serde_json::from_str(json).unwrap();
            assert_eq!(config.check().unwrap_err().0, key, "{json}");
        }
        serde_json::from_str::<BbrConfig>(r#"{"cpu":0.8}"#).unwrap_err();
    }
}
