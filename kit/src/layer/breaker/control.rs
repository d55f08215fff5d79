//! What the debug port shows of a breaker, and changes.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Breaker;
use crate::{Error, duration, layer::change};

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

pub(super) fn change(breaker: &Breaker, changes: &Value) -> Result<(), Error> {
    let section = breaker.live().section();
    let mut changes = change::members(section, changes)?.clone();
    let force = match changes.remove(FORCE).as_ref().map(Value::as_str) {
        None => None,
        Some(Some(force @ ("open" | "closed" | "none"))) => Some(force.to_owned()),
        Some(_) => return Err(Error::invalid_argument("breaker.force must be \"open\", \"closed\" or \"none\"")),
    };
    let changes = Value::Object(changes);
    breaker.change(|config| change::merged(section, config, &changes))?;
    match force.as_deref() {
        Some("open") => breaker.force_open(),
        Some("closed") => breaker.force_closed(),
        Some(_) => breaker.release(),
        None => {}
    }
    Ok(())
}
