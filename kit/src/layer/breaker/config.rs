use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, Visitor},
};

use super::{gate::MOST_PROBES, tally::MOST_RUNNING, window::Shape};
use crate::{
    Code, duration,
    validate::{Validate, Violations},
};

/// Hystrix: `metrics.rollingStats.timeInMilliseconds`.
const WINDOW: Duration = Duration::from_secs(10);
/// Hystrix: `metrics.rollingStats.numBuckets`.
const BUCKETS: u32 = 10;
/// Hystrix: `circuitBreaker.requestVolumeThreshold`.
const MIN_CALLS: u32 = 20;
/// Hystrix and resilience4j: half of the calls.
const FAILURE_RATIO: f64 = 0.5;
/// No source: a call that nobody waits for any more. It counts only with a `slow_ratio`.
const SLOW_CALL: Duration = Duration::from_secs(5);
/// Hystrix: `circuitBreaker.sleepWindowInMilliseconds`.
const OPEN_FOR: Duration = Duration::from_secs(5);
/// Linkerd: the longest that its breaker waits.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// Linkerd: each wait is twice the one before.
const GROWTH: f64 = 2.0;
/// Linkerd: the share of a wait that is left to chance.
const JITTER: f64 = 0.5;
/// Ours: Hystrix sends one, and one lucky answer then brings back all the load; resilience4j sends ten.
const PROBES: u32 = 3;

/// What a window in calls may span: its bad calls are kept one by one.
const MOST_CALLS: u32 = 100_000;
/// What a window in time may be divided into: it takes the lock once for each.
const MOST_BUCKETS: u32 = 1_000;
/// Longer is a mistake of units. It also keeps all sums of times within bounds.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// What ratios are counted in.
pub(super) const PARTS: u64 = 1_000_000;

/// Which calls a breaker judges by. In configuration a number is calls and a time with its unit is time: `100`, `"10s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerWindow {
    /// The last calls, however long ago.
    Calls(u32),
    /// Those that ended lately. It moves by a bucket at a time, and the newest bucket is not over yet: 10 s in 10 buckets are the
    /// last 9 to 10 s.
    Time(Duration),
}

/// When calls are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// The calls that it judges by: `100` or `"10s"`, up to 100 000 calls or a day. Default: 10 s.
    pub window: BreakerWindow,
    /// The parts that a window of time moves by. Default: 10.
    pub buckets: u32,
    /// It does not open on fewer calls in the window. Default: 20.
    pub min_calls: u32,
    /// It opens when more than this share of the calls failed; `1` is when all did. Above 0, up to 1. Default: 0.5.
    pub failure_ratio: f64,
    /// It opens when more than this share of the calls were slow, as `failure_ratio`. Default: none, which saves two readings of the
    /// clock for each call: what is slow only the owner of a service knows.
    pub slow_ratio: Option<f64>,
    /// A call whose first answer took longer is slow. Default: 5 s.
    #[serde(with = "duration")]
    pub slow_call: Duration,
    /// The most calls that run at once, streams until their end; more are refused, whatever the state, without opening it. Default:
    /// none.
    pub max_in_flight: Option<u32>,
    /// How long it stays open the first time. Default: 5 s.
    #[serde(with = "duration")]
    pub open_for: Duration,
    /// The longest that it stays open, jitter not counted. Default: 60 s.
    #[serde(with = "duration")]
    pub open_max: Duration,
    /// How many times longer it stays open each time that it opens again without having been healthy: closed for as long as it was
    /// open before. Default: 2.
    pub growth: f64,
    /// The share of the open time that chance adds at most, so that not all callers come back at once. Default: 0.5.
    pub jitter: f64,
    /// The probes that may run at once when it is half open. Default: 3.
    pub probes: u32,
    /// The probes that must succeed, with none failing, before it closes. Default: 3.
    pub successes: u32,
    /// The code of its refusals. Default: `UNAVAILABLE`, over HTTP 503.
    #[serde(serialize_with = "write_code", deserialize_with = "read_code")]
    pub code: Code,
    /// The message of its refusals. Default: none, which says what is wrong and how long.
    pub message: Option<String>,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window: BreakerWindow::Time(WINDOW),
            buckets: BUCKETS,
            min_calls: MIN_CALLS,
            failure_ratio: FAILURE_RATIO,
            slow_ratio: None,
            slow_call: SLOW_CALL,
            max_in_flight: None,
            open_for: OPEN_FOR,
            open_max: OPEN_MAX,
            growth: GROWTH,
            jitter: JITTER,
            probes: PROBES,
            successes: PROBES,
            code: Code::Unavailable,
            message: None,
        }
    }
}

impl BreakerConfig {
    pub(super) fn shape(&self) -> Shape {
        match self.window {
            BreakerWindow::Calls(calls) => Shape::Calls(u64::from(calls)),
            BreakerWindow::Time(time) => {
                let buckets = u64::from(self.buckets.max(1));
                Shape::Time { width: nanos(time) / buckets, buckets }
            }
        }
    }
}

/// Refuses settings that contradict themselves.
impl Validate for BreakerConfig {
    fn validate(&self, report: &mut Violations) {
        match self.window {
            BreakerWindow::Calls(calls) => {
                within(report, "window", calls, MOST_CALLS);
                if calls > 0 && self.min_calls > calls {
                    let calls =
                        format!("is {}, above the window of {calls} calls: it would never open", self.min_calls);
                    report.add("min_calls", calls);
                }
            }
            BreakerWindow::Time(time) => lasting(report, "window", time),
        }
        within(report, "buckets", self.buckets, MOST_BUCKETS);
        within(report, "min_calls", self.min_calls, u32::MAX);
        share(report, "failure_ratio", self.failure_ratio);
        if let Some(ratio) = self.slow_ratio {
            share(report, "slow_ratio", ratio);
        }
        lasting(report, "slow_call", self.slow_call);
        if let Some(most) = self.max_in_flight {
            within(report, "max_in_flight", most, MOST_RUNNING);
        }
        lasting(report, "open_for", self.open_for);
        lasting(report, "open_max", self.open_max);
        if self.open_max < self.open_for {
            report.add("open_max", format!("is below open_for, {}", duration::format(self.open_for)));
        }
        if !(1.0..=100.0).contains(&self.growth) {
            report.add("growth", format!("is {}: give 1 (always open_for) to 100", self.growth));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            report.add("jitter", format!("is {}: give 0 (none) to 1 (up to twice as long)", self.jitter));
        }
        within(report, "probes", self.probes, MOST_PROBES);
        within(report, "successes", self.successes, MOST_PROBES);
        report.require(self.code != Code::Ok, "code", "is OK: a refusal is an error");
        report.require(self.message.as_deref() != Some(""), "message", "is empty: leave it out instead");
    }
}

/// Times fit: [`LONGEST`] does.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A ratio in parts, so that a tenth is a tenth. All of the calls is one part less: above all there is nothing.
pub(super) fn parts(ratio: f64) -> u64 {
    ((ratio * PARTS as f64).round() as u64).min(PARTS - 1)
}

fn within(report: &mut Violations, key: &str, value: u32, most: u32) {
    match value {
        0 => report.add(key, "is 0: give at least 1"),
        value if value > most => report.add(key, format!("is {value}: give at most {most}")),
        _ => {}
    }
}

fn lasting(report: &mut Violations, key: &str, time: Duration) {
    if time < Duration::from_millis(1) || time > LONGEST {
        report.add(key, format!("is {}: give 1ms to 24h", duration::format(time)));
    }
}

fn share(report: &mut Violations, key: &str, ratio: f64) {
    if !(ratio > 0.0 && ratio <= 1.0) {
        report.add(key, format!("is {ratio}: give a share of the calls, above 0 and up to 1"));
    }
}

impl Serialize for BreakerWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Calls(calls) => serializer.serialize_u32(*calls),
            Self::Time(time) => duration::serialize(time, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BreakerWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WindowVisitor)
    }
}

struct WindowVisitor;

impl Visitor<'_> for WindowVisitor {
    type Value = BreakerWindow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of calls such as 100, or a time such as \"10s\"")
    }

    fn visit_u64<E: serde::de::Error>(self, calls: u64) -> Result<BreakerWindow, E> {
        // What does not fit is refused by its size.
        Ok(BreakerWindow::Calls(u32::try_from(calls).unwrap_or(u32::MAX)))
    }

    fn visit_i64<E: serde::de::Error>(self, calls: i64) -> Result<BreakerWindow, E> {
        match u64::try_from(calls) {
            Ok(calls) => self.visit_u64(calls),
            Err(_) => Err(E::custom(format!("{calls} calls are no window: give at least 1"))),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BreakerWindow, E> {
        match text.trim().parse() {
            Ok(calls) => self.visit_u64(calls),
            Err(_) => duration::parse(text).map(BreakerWindow::Time).map_err(E::custom),
        }
    }
}

fn write_code<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.name())
}

fn read_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
    let name = String::deserialize(deserializer)?;
    let found = Code::ALL.into_iter().find(|code| code.name() == name);
    found.ok_or_else(|| D::Error::custom(format!("there is no code {name:?}: give one such as UNAVAILABLE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold() {
        BreakerConfig::default().check("breaker").unwrap();
    }

    #[test]
    fn settings_come_back_as_they_were_written() {
        for text in
            [r#"{"window":100}"#, r#"{"window":"30s"}"#, r#"{"window":"100"}"#, r#"{"code":"RESOURCE_EXHAUSTED"}"#]
        {
            let config: BreakerConfig = serde_json::from_str(text).unwrap();
            config.check("breaker").unwrap();
            let written = serde_json::to_value(&config).unwrap();
            assert_eq!(serde_json::from_value::<BreakerConfig>(written).unwrap(), config);
        }
        let window = |text| serde_json::from_str::<BreakerWindow>(text).unwrap();
        assert_eq!(window("\"100\""), BreakerWindow::Calls(100), "as an environment variable has it");
        assert_eq!(window("\"1m\""), BreakerWindow::Time(Duration::from_secs(60)));
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        for text in [
            r#"{"window":-1}"#,
            r#"{"window":"soon"}"#,
            r#"{"window":true}"#,
            r#"{"code":"BAD"}"#,
            r#"{"open_for":5}"#,
            r#"{"min_calls":-5}"#,
            r#"{"other":1}"#,
        ] {
            serde_json::from_str::<BreakerConfig>(text).unwrap_err();
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_name() {
        for (settings, message) in [
            (r#"{"window":0}"#, "breaker.window is 0: give at least 1"),
            (r#"{"window":4294967296}"#, "breaker.window is 4294967295: give at most 100000"),
            (r#"{"window":"0s"}"#, "breaker.window is 0s: give 1ms to 24h"),
            (r#"{"window":"2d"}"#, "breaker.window is 48h: give 1ms to 24h"),
            (r#"{"buckets":0}"#, "breaker.buckets is 0: give at least 1"),
            (r#"{"buckets":1001}"#, "breaker.buckets is 1001: give at most 1000"),
            (r#"{"min_calls":0}"#, "breaker.min_calls is 0: give at least 1"),
            (
                r#"{"window":10,"min_calls":11}"#,
                "breaker.min_calls is 11, above the window of 10 calls: it would never open",
            ),
            (r#"{"failure_ratio":0}"#, "breaker.failure_ratio is 0: give a share of the calls, above 0 and up to 1"),
            (
                r#"{"failure_ratio":1.1}"#,
                "breaker.failure_ratio is 1.1: give a share of the calls, above 0 and up to 1",
            ),
            (r#"{"slow_ratio":-1}"#, "breaker.slow_ratio is -1: give a share of the calls, above 0 and up to 1"),
            (r#"{"slow_call":"0s"}"#, "breaker.slow_call is 0s: give 1ms to 24h"),
            (r#"{"max_in_flight":0}"#, "breaker.max_in_flight is 0: give at least 1"),
            (r#"{"max_in_flight":524289}"#, "breaker.max_in_flight is 524289: give at most 524288"),
            (r#"{"open_for":"0s"}"#, "breaker.open_for is 0s: give 1ms to 24h"),
            (r#"{"open_max":"1s"}"#, "breaker.open_max is below open_for, 5s"),
            (r#"{"growth":0.5}"#, "breaker.growth is 0.5: give 1 (always open_for) to 100"),
            (r#"{"jitter":2}"#, "breaker.jitter is 2: give 0 (none) to 1 (up to twice as long)"),
            (r#"{"probes":0}"#, "breaker.probes is 0: give at least 1"),
            (r#"{"successes":1001}"#, "breaker.successes is 1001: give at most 1000"),
            (r#"{"code":"OK"}"#, "breaker.code is OK: a refusal is an error"),
            (r#"{"message":""}"#, "breaker.message is empty: leave it out instead"),
        ] {
            let config: BreakerConfig = serde_json::from_str(settings).unwrap();
            assert_eq!(config.check("breaker").unwrap_err().message(), message);
        }
        let config = BreakerConfig { failure_ratio: f64::NAN, ..BreakerConfig::default() };
        assert!(config.check("breaker").is_err());
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let config = BreakerConfig {
            window: BreakerWindow::Calls(5),
            min_calls: 6,
            failure_ratio: f64::NAN,
            open_for: Duration::ZERO,
            open_max: Duration::MAX,
            growth: f64::INFINITY,
            jitter: -0.1,
            ..BreakerConfig::default()
        };
        let mut report = Violations::default();
        config.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["min_calls", "failure_ratio", "open_for", "open_max", "growth", "jitter"]);
    }
}
