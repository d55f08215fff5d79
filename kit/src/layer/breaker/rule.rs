use crate::{Class, layer::track::Outcome};

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
    pub fn of(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Answered => Self::Success,
            Outcome::Dropped => Self::Ignored,
            Outcome::Failed(error) => match error.class() {
                Class::Caller => Self::Success,
                Class::Transient | Class::Fault => Self::Failure,
                Class::Cancelled | Class::Rejected => Self::Ignored,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

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
            (Error::unavailable("").rejected(), Verdict::Ignored),
        ] {
            assert_eq!(Verdict::of(Outcome::Failed(&error)), verdict, "{error}");
        }
        assert_eq!(Verdict::of(Outcome::Answered), Verdict::Success);
        assert_eq!(Verdict::of(Outcome::Dropped), Verdict::Ignored);
    }
}
