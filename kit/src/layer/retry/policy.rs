//! What is decided when an attempt failed.

use std::time::Duration;

use tokio::time::Instant;

use super::RetryConfig;
use crate::{Class, Error, Method};

/// gRPC's name for when, or that never, to try again (gRFC A6): milliseconds, negative for never.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
const RETRY_AFTER: &str = "retry-after";

/// What a service asks those to do whom it answers with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    /// Nothing.
    None,
    /// Not to come again.
    Never,
    /// To come again after this time, not earlier.
    After(Duration),
}

impl Pushback {
    pub(super) fn of(error: &Error) -> Self {
        let sent = error.received_metadata();
        // A service in this process sets it as what goes back to its caller.
        if let Some(text) = sent.get(PUSHBACK).or_else(|| error.metadata().get(PUSHBACK)) {
            // What can't be read is "never" in gRPC, too: the service wanted to slow its callers down.
            return text.trim().parse().map_or(Self::Never, |millis| Self::After(Duration::from_millis(millis)));
        }
        // `Retry-After` of services whose errors have no RetryInfo. Those that send a date there are rare, and their clock may
        // not be ours.
        let after = || sent.get(RETRY_AFTER)?.trim().parse().ok().map(Duration::from_secs);
        error.retry_delay().or_else(after).map_or(Self::None, Self::After)
    }
}

/// A call whose attempt failed.
pub(super) struct Failed<'a> {
    pub(super) method: &'a Method,
    pub(super) error: &'a Error,
    /// How many attempts were made.
    pub(super) attempts: u32,
    /// Whether it was given up because an attempt may not take so long.
    pub(super) timed_out: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) now: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another attempt, after this time.
    Again(Duration),
    Stop(Stop),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The error is one that would mostly come again.
    NotRetryable,
    /// The method may have done its work.
    NotIdempotent,
    TooManyAttempts,
    Pushback,
    Deadline,
    Budget,
}

impl Stop {
    /// For the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NotRetryable => "the error is not one to retry",
            Self::NotIdempotent => "the method may not be repeated",
            Self::TooManyAttempts => "there may be no more",
            Self::Pushback => "the service asked for none",
            Self::Deadline => "the deadline would pass before the next",
            Self::Budget => "the retry budget is used up",
        }
    }
}

impl Failed<'_> {
    /// Whether there is to be another attempt, if the budget pays for it. `random` is from 0 to 1.
    pub(super) fn judge(&self, config: &RetryConfig, random: f64) -> Verdict {
        let pushback = Pushback::of(self.error);
        let named = matches!(pushback, Pushback::After(_));
        let retryable = match self.error.class() {
            Class::Transient => true,
            // What a layer of this client refuses it would refuse again; to wait for its time would keep the caller for nothing.
            Class::Rejected => named && !self.error.is_refusal(),
            _ => self.timed_out,
        };
        if !retryable {
            return Verdict::Stop(Stop::NotRetryable);
        }
        // That a time is named says nothing of what was done: the refusal may come from further on.
        if !self.error.is_unprocessed() && !config.may_repeat(self.method) {
            return Verdict::Stop(Stop::NotIdempotent);
        }
        if self.attempts >= config.max_attempts {
            return Verdict::Stop(Stop::TooManyAttempts);
        }
        let backoff = config.backoff.wait(self.attempts, random);
        let wait = match pushback {
            Pushback::Never => return Verdict::Stop(Stop::Pushback),
            Pushback::After(delay) if delay > config.max_delay => return Verdict::Stop(Stop::Pushback),
            // All callers were told the same time: the backoff comes on top, so that they don't come back together.
            Pushback::After(delay) => delay.saturating_add(backoff),
            Pushback::None => backoff,
        };
        let begins = self.now.checked_add(wait);
        if self.deadline.is_some_and(|deadline| begins.is_none_or(|begins| begins >= deadline)) {
            return Verdict::Stop(Stop::Deadline);
        }
        Verdict::Again(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Idempotency, Metadata, MethodInfo, MethodKind};

    fn method(idempotency: Idempotency) -> Method {
        Method::from(MethodInfo { idempotency, ..MethodInfo::new("demo.Demo", "Say", MethodKind::Unary) })
    }

    fn judge(idempotency: Idempotency, error: &Error, attempts: u32, remaining: Option<Duration>) -> Verdict {
        let (now, method) = (Instant::now(), method(idempotency));
        let deadline = remaining.map(|remaining| now + remaining);
        let failed = Failed { method: &method, error, attempts, timed_out: false, deadline, now };
        failed.judge(&RetryConfig::default(), 1.0)
    }

    fn pushed_back(text: &str) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.insert(PUSHBACK, text).unwrap();
        metadata
    }

    const SECOND: Duration = Duration::from_secs(1);
    const BASE: Duration = Duration::from_millis(25);

    #[test]
    fn the_class_decides() {
        for code in Code::ALL {
            let verdict = judge(Idempotency::Idempotent, &Error::new(code, "no"), 1, None);
            let expected = match code {
                Code::Unavailable => Verdict::Again(BASE),
                _ => Verdict::Stop(Stop::NotRetryable),
            };
            assert_eq!(verdict, expected, "{code}");
            // A time that is named makes a refusal one to retry, and nothing else.
            let named = judge(Idempotency::Idempotent, &Error::new(code, "no").with_retry_delay(SECOND), 1, None);
            let expected = match code {
                Code::Unavailable | Code::ResourceExhausted => Verdict::Again(SECOND + BASE),
                _ => Verdict::Stop(Stop::NotRetryable),
            };
            assert_eq!(named, expected, "{code}");
        }
        let refusal = || Error::unavailable("open").as_rejection();
        for refusal in [refusal(), refusal().with_retry_delay(SECOND)] {
            assert_eq!(judge(Idempotency::Idempotent, &refusal, 1, None), Verdict::Stop(Stop::NotRetryable));
        }
    }

    #[test]
    fn what_may_have_been_done_is_not_done_again() {
        let error = || Error::unavailable("no");
        let unknown = |error: Error| judge(Idempotency::Unknown, &error, 1, None);
        assert_eq!(judge(Idempotency::NoSideEffects, &error(), 1, None), Verdict::Again(BASE));
        assert_eq!(unknown(error()), Verdict::Stop(Stop::NotIdempotent));
        assert_eq!(unknown(error().unprocessed()), Verdict::Again(BASE));
        assert_eq!(unknown(error().with_retry_delay(SECOND)), Verdict::Stop(Stop::NotIdempotent));
        let full = Error::resource_exhausted("no").with_retry_delay(SECOND);
        assert_eq!(unknown(full), Verdict::Stop(Stop::NotIdempotent), "it may come from further on");
        let method = method(Idempotency::Unknown);
        for (name, may) in [("Say", true), ("demo.Demo/Say", true), ("Demo/Say", false), ("say", false)] {
            assert_eq!(RetryConfig::default().with_method(name).may_repeat(&method), may, "{name}");
        }
    }

    #[test]
    fn pushback_is_obeyed() {
        let after =
            |text| judge(Idempotency::Idempotent, &Error::unavailable("no").with_metadata(pushed_back(text)), 1, None);
        assert_eq!(after("200"), Verdict::Again(Duration::from_millis(200) + BASE));
        assert_eq!(after("0"), Verdict::Again(BASE));
        for never in ["-1", "soon", ""] {
            assert_eq!(after(never), Verdict::Stop(Stop::Pushback), "{never:?}");
        }
        assert_eq!(after("10001"), Verdict::Stop(Stop::Pushback), "longer than anybody should wait");
        // It has the last word over what stands in the error.
        let both = Error::unavailable("no").with_retry_delay(SECOND).with_metadata(pushed_back("-1"));
        assert_eq!(Pushback::of(&both), Pushback::Never);
    }

    #[cfg(any(feature = "grpc", feature = "http"))]
    #[test]
    fn what_a_remote_service_sends_is_read() {
        let received = |name: &str, value: &str| {
            let mut metadata = Metadata::new();
            metadata.insert(name, value).unwrap();
            Pushback::of(&Error::resource_exhausted("no").with_received_metadata(metadata))
        };
        assert_eq!(received(PUSHBACK, "7"), Pushback::After(Duration::from_millis(7)));
        assert_eq!(received(RETRY_AFTER, "2"), Pushback::After(2 * SECOND));
        assert_eq!(received(RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT"), Pushback::None);
    }

    #[test]
    fn it_ends() {
        let error = Error::unavailable("no");
        assert_eq!(judge(Idempotency::Idempotent, &error, 2, None), Verdict::Again(2 * BASE));
        assert_eq!(judge(Idempotency::Idempotent, &error, 3, None), Verdict::Stop(Stop::TooManyAttempts));
        assert_eq!(judge(Idempotency::Idempotent, &error, 1, Some(BASE)), Verdict::Stop(Stop::Deadline));
        assert_eq!(judge(Idempotency::Idempotent, &error, 1, Some(2 * BASE)), Verdict::Again(BASE));
        let later = Error::unavailable("no").with_retry_delay(SECOND);
        assert_eq!(judge(Idempotency::Idempotent, &later, 1, Some(SECOND)), Verdict::Stop(Stop::Deadline));
    }
}
