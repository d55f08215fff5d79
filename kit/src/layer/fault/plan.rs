//! What happens to one call.

use std::time::Duration;

use super::{
    AbortConfig, DelayConfig, FaultConfig,
    config::{LONGEST, code, message},
};
use crate::{Code, Context, Error, Method, duration, json::scalar::shorten, layer::methods, trust::Trust};

const DELAY: &str = "x-fault-delay";
const ABORT: &str = "x-fault-abort";

/// The faults of one call.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) delay: Option<Duration>,
    pub(super) abort: Option<Error>,
}

/// Settings that hold, ready to be asked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: FaultConfig,
    trust: Trust,
}

impl Settings {
    pub(super) fn new(config: FaultConfig) -> Self {
        let trust = Trust { networks: config.trusted_networks.clone(), certificates: config.trust_certificates };
        Self { config, trust }
    }

    /// What happens to a call. `draw` gives a number from 0 on, below 1.
    pub(super) fn plan(&self, method: &Method, cx: &Context, mut draw: impl FnMut() -> f64) -> Result<Plan, Error> {
        let config = &self.config;
        let (delay, abort) = match methods::of(&config.methods, method) {
            Some(method) => (&method.delay, &method.abort),
            None => (&config.delay, &config.abort),
        };
        let mut asked = Plan::default();
        if config.headers && !cx.metadata().is_empty() && self.trust.trusts(cx.peer()) {
            asked = by_headers(cx)?;
        }
        // Chance is asked in the same order whatever the headers say, so that a seed means the same for all calls.
        let by_chance = delay.as_ref().and_then(|delay| late(delay, &mut draw));
        let failing = abort.as_ref().filter(|abort| hits(abort.percent, &mut draw));
        Ok(Plan { delay: asked.delay.or(by_chance), abort: asked.abort.or_else(|| failing.map(fail)) })
    }
}

fn hits(percent: f64, draw: &mut impl FnMut() -> f64) -> bool {
    percent > 0.0 && draw() * 100.0 < percent
}

fn late(delay: &DelayConfig, draw: &mut impl FnMut() -> f64) -> Option<Duration> {
    if !hits(delay.percent, draw) {
        return None;
    }
    let more = delay.up_to.map(|up_to| up_to.saturating_sub(delay.time).mul_f64(draw()));
    Some(delay.time.saturating_add(more.unwrap_or_default()))
}

fn fail(abort: &AbortConfig) -> Error {
    error(abort.code, abort.message.clone())
}

fn error(code: Code, message: String) -> Error {
    Error::new(code, message).with_reason("FAULT_INJECTED", "kit").with_log("made by the layer fault")
}

/// What a caller that is trusted asks for. A mistake in it is told: a test that does nothing looks like one that is passed.
fn by_headers(cx: &Context) -> Result<Plan, Error> {
    let wrong = |name, text, how| Error::invalid_argument(format!("the header {name} is {:?}: {how}", shorten(text)));
    let mut plan = Plan::default();
    if let Some(text) = cx.metadata().get(DELAY) {
        let time = duration::parse(text).ok().filter(|time| *time <= LONGEST);
        plan.delay = Some(time.ok_or_else(|| wrong(DELAY, text, "write it as 100ms, up to 1h"))?);
    }
    if let Some(text) = cx.metadata().get(ABORT) {
        let code = code(text).filter(|code| *code != Code::Ok);
        plan.abort = Some(error(code.ok_or_else(|| wrong(ABORT, text, "write it as UNAVAILABLE"))?, message()));
    }
    Ok(plan)
}
