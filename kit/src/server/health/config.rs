use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    duration,
    validate::{Validate, Violations},
};

/// How a server finds out whether it is well, and where it tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// Whether `/livez`, `/readyz` and `/ping` are answered on the HTTP ports. Default: true.
    pub http: bool,
    /// How often each check is run. Default: 5 s, half of the 10 s between two probes of Kubernetes, so that each probe meets a
    /// new result.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// The share of the interval, 0 to 1, that is left to chance, so that instances that were started together do not ask their
    /// database together. Default: 0.1.
    pub jitter: f64,
    /// How long a check may take; then it has failed. Default: 3 s, less than the interval, and more than a busy database takes
    /// for nothing.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// The most checks that run at a time. Default: 4.
    pub max_concurrent: usize,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            http: true,
            interval: Duration::from_secs(5),
            jitter: 0.1,
            timeout: Duration::from_secs(3),
            max_concurrent: 4,
        }
    }
}

impl Validate for HealthConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(!self.interval.is_zero(), "interval", "is 0, which never rests: the default is 5s");
        report.require(!self.timeout.is_zero(), "timeout", "is 0, in which no check can pass: the default is 3s");
        report.require(self.max_concurrent > 0, "max_concurrent", "is 0: no check could run");
        let share = (0.0..=1.0).contains(&self.jitter);
        report.require(share, "jitter", "must be a share from 0 to 1: the default is 0.1");
    }
}

impl HealthConfig {
    pub(super) fn pause(&self) -> Duration {
        self.interval.mul_f64(1.0 - self.jitter * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_never_be_well_is_refused() {
        let default = HealthConfig::default;
        default().check("health").unwrap();
        let wrong = [
            ("interval", HealthConfig { interval: Duration::ZERO, ..default() }),
            ("timeout", HealthConfig { timeout: Duration::ZERO, ..default() }),
            ("max_concurrent", HealthConfig { max_concurrent: 0, ..default() }),
            ("jitter", HealthConfig { jitter: 1.1, ..default() }),
            ("jitter", HealthConfig { jitter: f64::NAN, ..default() }),
        ];
        for (key, config) in wrong {
            let error = config.check("health").unwrap_err();
            assert!(error.message().starts_with(&format!("health.{key} ")), "{error}");
        }
    }

    #[test]
    fn the_pause_is_the_interval_less_the_jitter() {
        let config = HealthConfig { interval: Duration::from_secs(10), jitter: 0.5, ..HealthConfig::default() };
        for _ in 0..100 {
            assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&config.pause()));
        }
    }
}
