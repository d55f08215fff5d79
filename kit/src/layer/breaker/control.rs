//! What the debug port shows of a breaker, and changes.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{Breaker, BreakerConfig};
use crate::{Error, duration};

/// Beside the names of settings.
const FORCE: &str = "force";

pub(super) fn state(breaker: &Breaker) -> Value {
    let (now, figures) = (SystemTime::now(), breaker.figures());
    let at = |time: Option<SystemTime>| time.map(|time| prost_types::Timestamp::from(time).to_string());
    json!({
        "state": figures.state.name(),
        "calls": figures.calls,
        "failures": figures.failures,
        "failure_ratio": figures.failure_ratio(),
        "slow": figures.slow,
        "slow_ratio": figures.slow_ratio(),
        "in_flight": figures.in_flight,
        "probes": figures.probes,
        "probes_passed": figures.passed,
        "openings": figures.openings,
        "why": figures.why,
        "since": at(now.checked_sub(figures.since)),
        "until": at(figures.wait.and_then(|wait| now.checked_add(wait))),
        "wait": figures.wait.map(|wait| duration::format(Duration::from_millis(wait.as_millis() as u64))),
    })
}

pub(super) fn change(breaker: &Breaker, change: &Value) -> Result<(), Error> {
    let Some(change) = change.as_object() else {
        return Err(Error::invalid_argument("give an object with the settings to change"));
    };
    let force = match change.get(FORCE).map(Value::as_str) {
        None => None,
        Some(Some(force @ ("open" | "closed" | "none"))) => Some(force),
        Some(_) => return Err(Error::invalid_argument("force must be \"open\", \"closed\" or \"none\"")),
    };
    breaker.change(|config| merged(config, change))?;
    match force {
        Some("open") => breaker.force_open(),
        Some("closed") => breaker.force_closed(),
        Some(_) => breaker.release(),
        None => {}
    }
    Ok(())
}

fn merged(config: &BreakerConfig, change: &Map<String, Value>) -> Result<BreakerConfig, Error> {
    let mut settings = json!(config);
    if let Some(settings) = settings.as_object_mut() {
        let given = change.iter().filter(|(key, _)| *key != FORCE);
        settings.extend(given.map(|(key, value)| (key.clone(), value.clone())));
    }
    serde_json::from_value(settings).map_err(|e| Error::invalid_argument(format!("breaker: {e}")))
}
