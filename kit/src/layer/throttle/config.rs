use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    duration,
    validate::{Validate, Violations},
};

/// Site Reliability Engineering, chapter 21: two calls are sent for each that was accepted.
const K: f64 = 2.0;
/// Ours: one call in five goes through, so that a service that is back is noticed soon.
const MAX_PROBABILITY: f64 = 0.8;
/// Site Reliability Engineering, chapter 21: the history of two minutes.
const WINDOW: Duration = Duration::from_secs(120);
/// Ours: what the service did is forgotten by ten seconds at a time.
const BUCKETS: u32 = 12;

const MOST_BUCKETS: u32 = 1_000;

/// How many calls are refused here while a service refuses calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// How many calls are sent for each that the service takes; with less, fewer calls are wasted and it is noticed later that the
    /// service takes more. 1 to 100. Default: 2.
    pub k: f64,
    /// The largest share of calls that is refused here. Above 0, up to 0.99. Default: 0.8.
    pub max_probability: f64,
    /// What it remembers, 1 s to 1 h. Default: 2 min.
    #[serde(with = "duration")]
    pub window: Duration,
    /// The parts that it forgets by. Default: 12.
    pub buckets: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self { k: K, max_probability: MAX_PROBABILITY, window: WINDOW, buckets: BUCKETS }
    }
}

impl ThrottleConfig {
    /// Nanoseconds of a bucket, and how many there are.
    pub(super) fn shape(&self) -> (u64, u64) {
        let buckets = u64::from(self.buckets.max(1));
        (u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX) / buckets, buckets)
    }
}

/// Refuses settings that make no sense.
impl Validate for ThrottleConfig {
    fn validate(&self, report: &mut Violations) {
        if !(1.0..=100.0).contains(&self.k) {
            report.add("k", format!("is {}: give 1 to 100 calls for each that is accepted", self.k));
        }
        if !(self.max_probability > 0.0 && self.max_probability <= 0.99) {
            report.add("max_probability", format!("is {}: give a share above 0, up to 0.99", self.max_probability));
        }
        if self.window < Duration::from_secs(1) || self.window > Duration::from_secs(3_600) {
            report.add("window", format!("is {}: give 1s to 1h", duration::format(self.window)));
        }
        if !(1..=MOST_BUCKETS).contains(&self.buckets) {
            report.add("buckets", format!("is {}: give 1 to {MOST_BUCKETS}", self.buckets));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        ThrottleConfig::default().check("throttle").unwrap();
        for (settings, message) in [
            (r#"{"k":0.5}"#, "throttle.k is 0.5: give 1 to 100 calls for each that is accepted"),
            (r#"{"max_probability":0}"#, "throttle.max_probability is 0: give a share above 0, up to 0.99"),
            (r#"{"max_probability":1}"#, "throttle.max_probability is 1: give a share above 0, up to 0.99"),
            (r#"{"window":"0s"}"#, "throttle.window is 0s: give 1s to 1h"),
            (r#"{"window":"2h"}"#, "throttle.window is 2h: give 1s to 1h"),
            (r#"{"buckets":0}"#, "throttle.buckets is 0: give 1 to 1000"),
        ] {
            let config: ThrottleConfig = serde_json::from_str(settings).unwrap();
            assert_eq!(config.check("throttle").unwrap_err().message(), message);
        }
        for wrong in [r#"{"window":120}"#, r#"{"other":1}"#, r#"{"buckets":-1}"#] {
            serde_json::from_str::<ThrottleConfig>(wrong).unwrap_err();
        }
        let config = ThrottleConfig { k: f64::NAN, max_probability: f64::NAN, ..ThrottleConfig::default() };
        let mut report = Violations::default();
        config.validate(&mut report);
        assert_eq!(report.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["k", "max_probability"], "all is told");
    }
}
