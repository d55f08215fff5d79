use std::time::Duration;

use crate::Error;

/// Why a call does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The limit is reached, and there is no place to wait.
    Full,
    /// A more important call took its place in the queue.
    Displaced,
    /// It waited as long as a call may.
    Waited,
    /// Its own deadline came before its turn.
    Late,
}

/// Our own limit is no failure of whoever stands behind it: a breaker does not count these.
pub(super) fn error(why: Why, retry_after: Duration) -> Error {
    let error = match why {
        Why::Full => Error::resource_exhausted("too many calls at once").with_reason("CONCURRENCY_LIMIT", "kit"),
        Why::Displaced => Error::resource_exhausted("too many calls at once")
            .with_log("a more important call took its place in the queue")
            .with_reason("CONCURRENCY_LIMIT", "kit"),
        Why::Waited => Error::resource_exhausted("too many calls at once")
            .with_log("it waited as long as a call may")
            .with_reason("QUEUE_TIMEOUT", "kit"),
        // Another try with the same deadline makes no sense: no delay is named.
        Why::Late => {
            return Error::deadline_exceeded("the deadline of the call passed before its turn came")
                .with_reason("QUEUE_TIMEOUT", "kit")
                .as_rejection();
        }
    };
    error.with_retry_delay(retry_after).as_rejection()
}
