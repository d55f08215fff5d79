use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    Code, duration,
    layer::methods,
    trust::Network,
    validate::{Validate, Violations},
};

/// Ours: as many calls as a test keeps waiting. Envoy's `max_active_faults` has no limit.
const MAX_ACTIVE: u32 = 1_000;
/// All calls: who names a fault means it.
const PERCENT: f64 = 100.0;
const MESSAGE: &str = "fault injected";

/// Longer than any deadline that is tested; a larger number is a mistake of units.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);
const MOST_ACTIVE: u32 = 1_000_000;

/// Which faults are made; by convention the section `fault`. Without any setting: none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultConfig {
    /// Makes calls late. Default: none.
    pub delay: Option<DelayConfig>,
    /// Makes calls fail. Default: none.
    pub abort: Option<AbortConfig>,
    /// By method, `Detail` or `details.BookDetails/Detail`, in the place of `delay` and `abort`.
    pub methods: BTreeMap<String, MethodFaults>,
    /// Whether callers can ask for faults by `x-fault-delay` and `x-fault-abort`, if they are trusted. Default: false.
    pub headers: bool,
    /// Whose headers are obeyed: by address. Those of anybody else are ignored. Default: this machine.
    pub trusted_networks: Vec<Network>,
    /// Whether callers that showed a certificate, which TLS has checked then, are trusted like those of the networks. Default: false.
    pub trust_certificates: bool,
    /// The most calls that wait at once, 1 to 1 000 000. Default: 1000.
    pub max_active: u32,
    /// Makes chance the same each time. Default: none.
    pub seed: Option<u64>,
}

impl Default for FaultConfig {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            delay: None,
            abort: None,
            methods: BTreeMap::new(),
            headers: false,
            trusted_networks: loopback.iter().filter_map(|network| network.parse().ok()).collect(),
            trust_certificates: false,
            max_active: MAX_ACTIVE,
            seed: None,
        }
    }
}

/// The faults of one method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodFaults {
    /// Makes its calls late. Default: none.
    pub delay: Option<DelayConfig>,
    /// Makes its calls fail. Default: none.
    pub abort: Option<AbortConfig>,
}

/// Calls that are late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayConfig {
    /// How long they wait, 1 ms to 1 h.
    #[serde(with = "duration")]
    pub time: Duration,
    /// If it is there, each waits for a time by chance between `time` and this.
    #[serde(default, with = "duration::option")]
    pub up_to: Option<Duration>,
    /// The share of calls, 0 to 100; fractions are fine. Default: 100.
    #[serde(default = "all")]
    pub percent: f64,
}

/// Calls that fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbortConfig {
    /// The code: `UNAVAILABLE`.
    #[serde(serialize_with = "write_code", deserialize_with = "read_code")]
    pub code: Code,
    /// What the caller reads. Default: `fault injected`.
    #[serde(default = "message")]
    pub message: String,
    /// The share of calls, 0 to 100; fractions are fine. Default: 100.
    #[serde(default = "all")]
    pub percent: f64,
}

impl DelayConfig {
    /// A share of the calls waits for this long.
    pub fn of(time: Duration, percent: f64) -> Self {
        Self { time, up_to: None, percent }
    }
}

impl AbortConfig {
    /// A share of the calls has this code.
    pub fn of(code: Code, percent: f64) -> Self {
        Self { code, message: message(), percent }
    }
}

impl FaultConfig {
    /// Makes calls late.
    #[must_use]
    pub fn with_delay(self, delay: DelayConfig) -> Self {
        Self { delay: Some(delay), ..self }
    }

    /// Makes calls fail.
    #[must_use]
    pub fn with_abort(self, abort: AbortConfig) -> Self {
        Self { abort: Some(abort), ..self }
    }

    /// Faults of one method, in the place of the others.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>, faults: MethodFaults) -> Self {
        self.methods.insert(method.into(), faults);
        self
    }

    /// The same chance each time.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Whether any call can have a fault.
    pub fn is_on(&self) -> bool {
        let some = |delay: &Option<DelayConfig>, abort: &Option<AbortConfig>| {
            delay.as_ref().is_some_and(|delay| delay.percent > 0.0)
                || abort.as_ref().is_some_and(|abort| abort.percent > 0.0)
        };
        self.headers
            || some(&self.delay, &self.abort)
            || self.methods.values().any(|method| some(&method.delay, &method.abort))
    }
}

impl Validate for FaultConfig {
    fn validate(&self, report: &mut Violations) {
        faults(report, &self.delay, &self.abort);
        for (method, of) in &self.methods {
            if let Some(why) = methods::wrong(method) {
                report.add(&format!("methods.{method}"), why);
            }
            report.section(&format!("methods.{method}"), of);
        }
        let trusts = !self.trusted_networks.is_empty() || self.trust_certificates;
        report.require(!self.headers || trusts, "headers", "is set, and no caller is trusted: set trusted_networks");
        let message = format!("is {}: give 1 to {MOST_ACTIVE}", self.max_active);
        report.require((1..=MOST_ACTIVE).contains(&self.max_active), "max_active", message);
    }
}

impl Validate for MethodFaults {
    fn validate(&self, report: &mut Violations) {
        faults(report, &self.delay, &self.abort);
    }
}

fn faults(report: &mut Violations, delay: &Option<DelayConfig>, abort: &Option<AbortConfig>) {
    if let Some(delay) = delay {
        report.section("delay", delay);
    }
    if let Some(abort) = abort {
        report.section("abort", abort);
    }
}

impl Validate for DelayConfig {
    fn validate(&self, report: &mut Violations) {
        let least = Duration::from_millis(1);
        for (key, time) in [("time", Some(self.time)), ("up_to", self.up_to)] {
            if let Some(time) = time.filter(|time| !(least..=LONGEST).contains(time)) {
                report.add(key, format!("is {}: give 1ms to 1h", duration::format(time)));
            }
        }
        if self.up_to.is_some_and(|up_to| up_to < self.time) {
            report.add("up_to", format!("is below time, {}", duration::format(self.time)));
        }
        percent(report, self.percent);
    }
}

impl Validate for AbortConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.code != Code::Ok, "code", "is OK: a fault is an error");
        report.require(!self.message.is_empty(), "message", "is empty: leave it out instead");
        percent(report, self.percent);
    }
}

fn percent(report: &mut Violations, percent: f64) {
    report.require((0.0..=100.0).contains(&percent), "percent", format!("is {percent}: give 0 to 100"));
}

fn all() -> f64 {
    PERCENT
}

pub(super) fn message() -> String {
    MESSAGE.to_owned()
}

/// The code of a name.
pub(super) fn code(name: &str) -> Option<Code> {
    Code::ALL.into_iter().find(|code| code.name() == name)
}

fn write_code<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.name())
}

fn read_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
    let name = String::deserialize(deserializer)?;
    code(&name).ok_or_else(|| D::Error::custom(format!("{name:?} is no code: write it as UNAVAILABLE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        FaultConfig::default().check("fault").unwrap();
        for (settings, message) in [
            (r#"{"delay":{"time":"0s"}}"#, "fault.delay.time is 0s: give 1ms to 1h"),
            (r#"{"delay":{"time":"2h"}}"#, "fault.delay.time is 2h: give 1ms to 1h"),
            (r#"{"delay":{"time":"2s","up_to":"1s"}}"#, "fault.delay.up_to is below time, 2s"),
            (r#"{"delay":{"time":"2s","percent":101}}"#, "fault.delay.percent is 101: give 0 to 100"),
            (r#"{"abort":{"code":"OK"}}"#, "fault.abort.code is OK: a fault is an error"),
            (r#"{"abort":{"code":"INTERNAL","message":""}}"#, "fault.abort.message is empty: leave it out instead"),
            (r#"{"abort":{"code":"INTERNAL","percent":-0.1}}"#, "fault.abort.percent is -0.1: give 0 to 100"),
            (
                r#"{"methods":{"Say":{"abort":{"code":"OK"}}}}"#,
                "fault.methods.Say.abort.code is OK: a fault is an error",
            ),
            (
                r#"{"headers":true,"trusted_networks":[]}"#,
                "fault.headers is set, and no caller is trusted: set trusted_networks",
            ),
            (r#"{"max_active":0}"#, "fault.max_active is 0: give 1 to 1000000"),
        ] {
            let config: FaultConfig = serde_json::from_str(settings).unwrap();
            assert_eq!(config.check("fault").unwrap_err().message(), message, "{settings}");
        }
        for wrong in [
            r#"{"delay":"1s"}"#,
            r#"{"delay":{"percent":1}}"#,
            r#"{"abort":{"code":14}}"#,
            r#"{"abort":{"code":"unavailable"}}"#,
            r#"{"on":true}"#,
            r#"{"trusted_networks":["home"]}"#,
        ] {
            serde_json::from_str::<FaultConfig>(wrong).unwrap_err();
        }
        let nan = FaultConfig::default().with_abort(AbortConfig::of(Code::Internal, f64::NAN));
        nan.check("fault").unwrap_err();
    }

    #[test]
    fn settings_come_back_as_they_were_written() {
        let config = FaultConfig::default()
            .with_delay(DelayConfig {
                up_to: Some(Duration::from_secs(2)),
                ..DelayConfig::of(Duration::from_secs(1), 0.5)
            })
            .with_method("Say", MethodFaults { abort: Some(AbortConfig::of(Code::Aborted, 1.0)), delay: None });
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<FaultConfig>(&text).unwrap(), config, "{text}");
    }
}
