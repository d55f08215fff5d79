use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::algorithm::{self, Aimd, Gradient2, Limit, Vegas};
use crate::{
    duration,
    layer::{
        concurrency::{PriorityConfig, config::validate_queue, limiter::Admission},
        timeout::{read_limit, write_limit},
    },
    validate::{Validate, Violations},
};

/// The initial limit of Netflix' concurrency-limits, which these algorithms come from.
const INITIAL: u32 = 20;

/// Enough for a service to be heard, and to find that the trouble is over, when all that it depends on is slow.
const MIN: u32 = 5;

/// The largest limit that Netflix' Vegas takes by default.
const MAX: u32 = 1000;

/// The interval of CoDel (RFC 8289): longer than most calls, and short beside what changes the capacity of a service.
const WINDOW: Duration = Duration::from_millis(100);

/// As many as the windows of Netflix' concurrency-limits ask for.
const MIN_SAMPLES: u32 = 10;

/// How often TCP's BBR measures the time without load (ProbeRTT): there with four packets under way, here with half of the limit.
const PROBE: Duration = Duration::from_secs(10);

/// An eighth of what [`ConcurrencyConfig`](crate::layer::concurrency::ConcurrencyConfig) has by default: the limit is as much
/// smaller, and calls that wait here are no reason for it to grow.
const QUEUE: usize = 16;

/// The interval of CoDel (RFC 8289).
const QUEUE_TIMEOUT: Duration = Duration::from_millis(100);

/// The shortest time that `Retry-After` can say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How a limit finds itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Algorithm {
    /// Compares how long calls take now with how long they took of late: for servers. See [`Gradient2`].
    #[default]
    Gradient2,
    /// Estimates how many calls wait behind the limit: keeps queues shorter, and yields more to others. See [`Vegas`].
    Vegas,
    /// Grows until calls fail by overload, then takes a step back: for clients of a server that refuses. See [`Aimd`].
    Aimd,
}

/// The settings of an adaptive limit; by convention the section `adaptive`.
///
/// ```
/// use kit::layer::adaptive::{AdaptiveConfig, Algorithm};
///
/// let config: AdaptiveConfig = serde_json::from_str(r#"{ "algorithm": "vegas", "max": 200 }"#)?;
/// assert_eq!((config.algorithm, config.max, config.initial), (Algorithm::Vegas, 200, 20));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveConfig {
    /// How the limit moves: `gradient2`, `vegas` or `aimd`. Default: `gradient2`.
    pub algorithm: Algorithm,
    /// The least that the limit may be. Default: 5.
    pub min: u32,
    /// The most. Default: 1000.
    pub max: u32,
    /// What it is at the start. Default: 20.
    pub initial: u32,
    /// How long calls are looked at before the limit moves. Default: 100 ms.
    #[serde(with = "duration")]
    pub window: Duration,
    /// How many calls have to end in a window; with fewer it goes on. Default: 10.
    pub min_samples: u32,
    /// How often half of the limit is tried for a window, and half of that for as long as calls take less time by it, to learn
    /// how long they take without load; `"none"` for never. Needed where a service is at its limit for minutes, or the limit would
    /// get used to that. Default: 10 s.
    #[serde(serialize_with = "write_limit", deserialize_with = "read_limit")]
    pub probe: Option<Duration>,
    /// How many calls may wait; 0 refuses at once what is too much. Default: 16.
    pub queue: usize,
    /// How long a call waits, if its own deadline does not come before that. Default: 100 ms.
    #[serde(with = "duration")]
    pub queue_timeout: Duration,
    /// When callers that were refused are told to come again. Default: 1 s.
    #[serde(with = "duration")]
    pub retry_after: Duration,
    /// Which calls matter more than others.
    pub priority: PriorityConfig,
    /// Gradient2: how many times longer than of late calls may take before the limit sinks, at least 1. Default: 1.5.
    pub tolerance: f64,
    /// Gradient2: the share of a new estimate in the limit: above 0, at most 1. Default: 0.2.
    pub smoothing: f64,
    /// Gradient2: how many windows "of late" is. Default: 600.
    pub long_window: u32,
    /// AIMD: what is left of the limit when calls failed by overload: from 0.5 to below 1. Default: 0.9.
    pub backoff: f64,
    /// AIMD: calls that take longer count as overload. Default: 5 s.
    #[serde(with = "duration")]
    pub slow: Duration,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            min: MIN,
            max: MAX,
            initial: INITIAL,
            window: WINDOW,
            min_samples: MIN_SAMPLES,
            probe: Some(PROBE),
            queue: QUEUE,
            queue_timeout: QUEUE_TIMEOUT,
            retry_after: RETRY_AFTER,
            priority: PriorityConfig::default(),
            tolerance: algorithm::TOLERANCE,
            smoothing: algorithm::SMOOTHING,
            long_window: algorithm::LONG_WINDOW,
            backoff: algorithm::BACKOFF,
            slow: algorithm::SLOW,
        }
    }
}

impl AdaptiveConfig {
    pub(super) fn admission(&self) -> Admission {
        Admission {
            queue: self.queue,
            queue_timeout: self.queue_timeout,
            retry_after: self.retry_after,
            priority: self.priority.clone(),
        }
    }

    /// The algorithm at a limit.
    pub(super) fn build(&self, limit: f64) -> Box<dyn Limit> {
        match self.algorithm {
            Algorithm::Gradient2 => Box::new(Gradient2::new(limit, self.tolerance, self.smoothing, self.long_window)),
            Algorithm::Vegas => Box::new(Vegas::new(limit)),
            Algorithm::Aimd => Box::new(Aimd::new(limit, self.backoff, self.slow)),
        }
    }
}

/// Refuses bounds that contradict each other, and settings by which nothing could be learned.
impl Validate for AdaptiveConfig {
    fn validate(&self, report: &mut Violations) {
        let Self { min, max, initial, .. } = self;
        report.require(*min > 0, "min", "must be at least 1: with 0 the limit could never rise again");
        if max < min {
            report.add("max", format!("must be at least min, which is {min}"));
        } else if !(min..=max).contains(&initial) {
            report.add("initial", format!("must be from min to max, {min} to {max}"));
        }
        report.require(!self.window.is_zero(), "window", "must be above zero");
        let samples = "must be at least 1: without calls there is nothing to learn";
        report.require(self.min_samples > 0, "min_samples", samples);
        let often = "must be longer than window, or half of the limit would be all there is";
        report.require(self.probe.is_none_or(|probe| probe > self.window), "probe", often);
        validate_queue(self.queue, self.queue_timeout, report);
        report.section("priority", &self.priority);
        let tolerance = "must be at least 1: calls take as long as of late in any case";
        report.require(self.tolerance >= 1.0 && self.tolerance.is_finite(), "tolerance", tolerance);
        let smoothing = self.smoothing > 0.0 && self.smoothing <= 1.0;
        report.require(smoothing, "smoothing", "must be above 0 and at most 1");
        report.require(self.long_window > 0, "long_window", "must be at least 1");
        report.require((0.5..1.0).contains(&self.backoff), "backoff", "must be at least 0.5 and below 1");
        report.require(!self.slow.is_zero(), "slow", "must be above zero, or every call were overload");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_is_named() {
        AdaptiveConfig::default().check("adaptive").unwrap();
        for (json, key) in [
            (r#"{"min":0}"#, "min"),
            (r#"{"min":30,"max":20}"#, "max"),
            (r#"{"min":30}"#, "initial"),
            (r#"{"max":10}"#, "initial"),
            (r#"{"window":"0s"}"#, "window"),
            (r#"{"min_samples":0}"#, "min_samples"),
            (r#"{"probe":"100ms"}"#, "probe"),
            (r#"{"tolerance":0.9}"#, "tolerance"),
            (r#"{"smoothing":0}"#, "smoothing"),
            (r#"{"smoothing":1.1}"#, "smoothing"),
            (r#"{"long_window":0}"#, "long_window"),
            (r#"{"backoff":1}"#, "backoff"),
            (r#"{"backoff":0.4}"#, "backoff"),
            (r#"{"slow":"0s"}"#, "slow"),
            (r#"{"queue_timeout":"0s"}"#, "queue_timeout"),
            (r#"{"priority":{"sheddable_share":2}}"#, "priority.sheddable_share"),
        ] {
            let config: AdaptiveConfig = serde_json::from_str(json).unwrap();
            let error = config.check("adaptive").unwrap_err();
            assert!(error.message().starts_with(&format!("adaptive.{key} must be")), "{json}: {error}");
        }
        let no_numbers = AdaptiveConfig {
            min: 0,
            probe: Some(Duration::ZERO),
            tolerance: f64::NAN,
            smoothing: f64::NAN,
            backoff: f64::NAN,
            ..AdaptiveConfig::default()
        };
        let mut report = Violations::default();
        no_numbers.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["min", "probe", "tolerance", "smoothing", "backoff"], "all that is wrong is told");
        let never: AdaptiveConfig = serde_json::from_str(r#"{"probe":"none"}"#).unwrap();
        never.check("adaptive").unwrap();
        assert_eq!((never.probe, &serde_json::to_value(&never).unwrap()["probe"]), (None, &"none".into()));
        serde_json::from_str::<AdaptiveConfig>(r#"{"algorithm":"gradient"}"#).unwrap_err();
    }
}
