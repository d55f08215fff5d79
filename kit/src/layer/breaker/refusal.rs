//! What the caller of a refused call reads.

use std::{borrow::Cow, time::Duration};

use super::{
    config::BreakerConfig,
    machine::{Cause, Refusal, Why},
};
use crate::{Error, duration};

/// The reasons that refusals have, also to those who get them from somewhere else.
pub(super) const BREAKER_OPEN: &str = "BREAKER_OPEN";
pub(super) const BREAKER_FULL: &str = "BREAKER_FULL";

/// For refusals that may be over at any moment: the least that `Retry-After` can say.
const SOON: Duration = Duration::from_secs(1);

/// Why it opened, in the words of a person.
pub(super) fn why(cause: &Cause) -> String {
    let calls = cause.figures.calls;
    match (cause.why, cause.code) {
        (Why::Failures, Some(code)) => {
            format!("{} of the last {calls} calls failed, the last with {code}", cause.figures.failures)
        }
        (Why::Failures, None) => format!("{} of the last {calls} calls failed", cause.figures.failures),
        (Why::Slow, _) => format!("{} of the last {calls} calls were slow", cause.figures.slow),
        (Why::Probe, Some(code)) => format!("a probe failed with {code}"),
        (Why::Probe, None) => "a probe was slow".to_owned(),
    }
}

pub(super) fn error(refusal: Refusal, cause: Option<&Cause>, config: &BreakerConfig) -> Error {
    let (reason, delay) = match refusal {
        Refusal::Open { wait } => (BREAKER_OPEN, Duration::from_nanos(wait)),
        Refusal::Probing { wait } => (BREAKER_OPEN, Duration::from_nanos(wait).min(SOON)),
        // Nobody knows when it is released.
        Refusal::Forced => (BREAKER_OPEN, config.open_for),
        Refusal::Full { .. } => (BREAKER_FULL, SOON),
    };
    let text: Cow<'static, str> = match refusal {
        Refusal::Open { .. } => {
            // Rounded up: who comes a moment too early is refused again.
            let wait = duration::format(Duration::from_millis(delay.as_nanos().div_ceil(1_000_000) as u64));
            let why = cause.map_or_else(|| "too many calls failed".to_owned(), why);
            format!("the breaker is open, try again in {wait}: {why}").into()
        }
        Refusal::Probing { .. } => {
            "the breaker is half open, try again soon: a few calls show whether all is well again".into()
        }
        Refusal::Forced => "the breaker was opened by hand, try again later".into(),
        Refusal::Full { most } => format!("too many calls at once, try again soon: {most} run, and no more may").into(),
    };
    let error = match &config.message {
        Some(message) => Error::new(config.code, message.clone()).with_log(text),
        None => Error::new(config.code, text),
    };
    error.as_rejection().with_retry_delay(delay).with_reason(reason, "kit")
}
