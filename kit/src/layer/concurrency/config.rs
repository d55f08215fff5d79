use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{limiter::Admission, priority::PriorityConfig};
use crate::{
    duration,
    validate::{Validate, Violations},
};

/// As many requests as Envoy's circuit breakers let run at once (`max_requests`).
const MAX: u32 = 1024;

/// An eighth of the limit: places for a burst, not for a backlog.
const QUEUE: usize = 128;

/// The interval of CoDel (RFC 8289): a queue that does not empty within it is no burst but overload.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(100);

/// The shortest time that `Retry-After` can say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The most places of a queue; a longer one is a mistake, and would hold as many requests in memory.
const MOST_PLACES: usize = 1_000_000;

/// The settings of a concurrency limit; by convention the section `concurrency`.
///
/// ```
/// use kit::layer::concurrency::ConcurrencyConfig;
///
/// // Load shedding: no call waits.
/// let config: ConcurrencyConfig = serde_json::from_str(r#"{ "max": 10, "queue": 0 }"#)?;
/// assert_eq!((config.max, config.queue), (10, 0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConcurrencyConfig {
    /// How many calls may run at once, streams until their end. Default: 1024.
    pub max: u32,
    /// How many calls may wait for one of those to end; 0 refuses at once what is too much. Default: 128.
    pub queue: usize,
    /// How long a call waits, if its own deadline does not come before that. Default: 100 ms.
    #[serde(with = "duration")]
    pub queue_timeout: Duration,
    /// When callers that were refused are told to come again (`Retry-After`, RetryInfo). Default: 1 s.
    #[serde(with = "duration")]
    pub retry_after: Duration,
    /// Which calls matter more than others.
    pub priority: PriorityConfig,
}

impl Default for ConcurrencyConfig {
    fn default() -> Self {
        Self {
            max: MAX,
            queue: QUEUE,
            queue_timeout: QUEUE_TIMEOUT,
            retry_after: RETRY_AFTER,
            priority: PriorityConfig::default(),
        }
    }
}

impl ConcurrencyConfig {
    /// A limit without a queue: what is too much is refused at once.
    pub fn shed_above(max: u32) -> Self {
        Self { max, queue: 0, ..Self::default() }
    }

    pub(crate) fn admission(&self) -> Admission {
        Admission {
            queue: self.queue,
            queue_timeout: self.queue_timeout,
            retry_after: self.retry_after,
            priority: self.priority.clone(),
        }
    }
}

/// Refuses a limit under which no call would run, and queues that can't be.
impl Validate for ConcurrencyConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.max > 0, "max", "must be at least 1: with 0 no call would ever run");
        validate_queue(self.queue, self.queue_timeout, report);
        report.section("priority", &self.priority);
    }
}

pub(crate) fn validate_queue(queue: usize, timeout: Duration, report: &mut Violations) {
    if queue > MOST_PLACES {
        report.add("queue", format!("must be at most {MOST_PLACES}: each place can hold a request in memory"));
    }
    let zero = "must be above zero where calls may wait: `queue: 0` is no waiting";
    report.require(queue == 0 || !timeout.is_zero(), "queue_timeout", zero);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_is_named() {
        ConcurrencyConfig::default().check("concurrency").unwrap();
        for (json, key, why) in [
            (r#"{"max":0}"#, "max", "at least 1"),
            (r#"{"queue":1000001}"#, "queue", "at most 1000000"),
            (r#"{"queue_timeout":"0s"}"#, "queue_timeout", "above zero"),
            (r#"{"priority":{"normal_share":0}}"#, "priority.normal_share", "above 0"),
            (r#"{"priority":{"normal_share":1.5}}"#, "priority.normal_share", "at most 1"),
            (r#"{"priority":{"sheddable_share":0}}"#, "priority.sheddable_share", "above 0"),
            (r#"{"priority":{"normal_share":0.5}}"#, "priority.sheddable_share", "at most normal_share"),
        ] {
            let config: ConcurrencyConfig = serde_json::from_str(json).unwrap();
            let error = config.check("concurrency").unwrap_err();
            assert!(error.message().starts_with(&format!("concurrency.{key} ")), "{json}: {error}");
            assert!(error.message().contains(why), "{json}: {error}");
        }
        let priority =
            PriorityConfig { normal_share: f64::NAN, sheddable_share: f64::NAN, ..PriorityConfig::default() };
        let wrong =
            ConcurrencyConfig { max: 0, queue_timeout: Duration::ZERO, priority, ..ConcurrencyConfig::default() };
        let mut report = Violations::default();
        wrong.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["max", "queue_timeout", "priority.normal_share", "priority.sheddable_share"]);
        for wrong in [r#"{"max":-1}"#, r#"{"most":1}"#, r#"{"queue_timeout":"5"}"#, r#"{"priority":{"default":"vip"}}"#]
        {
            serde_json::from_str::<ConcurrencyConfig>(wrong).unwrap_err();
        }
        // Zero seconds to wait are fine where nobody waits.
        let shed = ConcurrencyConfig { queue_timeout: Duration::ZERO, ..ConcurrencyConfig::shed_above(1) };
        shed.check("concurrency").unwrap();
    }
}
