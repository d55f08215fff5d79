use super::refusal::{BREAKER_FULL, BREAKER_OPEN};
use crate::{Class, Error, layer::track::Outcome};

/// What a call says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is well.
    Success,
    /// It is not.
    Failure,
    /// Nothing: the call is not counted, and gives back its probe.
    Ignored,
}

impl Verdict {
    /// What is held for a call without a rule of yours: a failure is what [`Error::is_fault`](crate::Error::is_fault) says, deadlines
    /// among it; an error that is the caller's own, such as `NOT_FOUND`, is a service that answers; calls that were refused or
    /// given up say nothing.
    #[inline]
    pub fn of(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Answered => Self::Success,
            Outcome::Dropped => Self::Ignored,
            // Somebody further on spares a service: whoever passes that on is well. Otherwise breakers in a row would keep each other open.
            Outcome::Failed(error) if is_passed_on(error) => Self::Ignored,
            Outcome::Failed(error) => match error.class() {
                Class::Caller => Self::Success,
                Class::Transient | Class::Fault => Self::Failure,
                Class::Cancelled | Class::Rejected => Self::Ignored,
            },
        }
    }
}

/// Whether it is what a breaker or a throttle of the kit answered in the place of a service.
pub(in crate::layer) fn is_passed_on(error: &Error) -> bool {
    error.reason().is_some_and(|reason| {
        reason.domain == "kit" && matches!(&*reason.reason, BREAKER_OPEN | BREAKER_FULL | "THROTTLED")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_decide() {
        for (error, verdict) in [
            (Error::not_found(""), Verdict::Success),
            (Error::invalid_argument(""), Verdict::Success),
            (Error::unavailable(""), Verdict::Failure),
            (Error::internal(""), Verdict::Failure),
            (Error::deadline_exceeded(""), Verdict::Failure),
            (Error::cancelled(""), Verdict::Ignored),
            (Error::resource_exhausted(""), Verdict::Ignored),
            (Error::unavailable("").as_rejection(), Verdict::Ignored),
        ] {
            assert_eq!(Verdict::of(Outcome::Failed(&error)), verdict, "{error}");
        }
        let passed_on = Error::unavailable("spared").with_reason("BREAKER_OPEN", "kit");
        assert_eq!(Verdict::of(Outcome::Failed(&passed_on)), Verdict::Ignored);
        assert_eq!(Verdict::of(Outcome::Answered), Verdict::Success);
        assert_eq!(Verdict::of(Outcome::Dropped), Verdict::Ignored);
    }
}
