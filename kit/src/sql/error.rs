//! Why a store could not do what it was asked.

use std::{fmt, path::Path, time::Duration};

use sqlx::migrate::MigrateError;

use super::classify::classify;
use crate::Error;

/// A failure of a store, for the log of the service.
///
/// `Display` is one complete message: what failed, where, in the database's own words, and what to do. It never contains
/// the password of the database's URL, but it is written for operators. What callers may hear is what the conversion into
/// [`Error`] says:
///
/// | the store | the caller's status |
/// |---|---|
/// | can't be reached, or has no connection, lock or time now | `UNAVAILABLE`, try again in a second |
/// | takes no writes | `UNAVAILABLE`, reason `READ_ONLY`, try again in 30 seconds |
/// | can't keep a value that the caller sent | `INVALID_ARGUMENT` with the field |
/// | anything else | `INTERNAL`: repeating the call won't help |
///
/// There is no `source()`, because the message already holds it and the library underneath is no part of the contract.
///
/// A double of a store, in a test of the service above it, makes errors by the constructors:
///
/// ```
/// use kit::{Code, Error, sql::SqlError};
///
/// let error = Error::from(SqlError::unavailable("the table is on fire"));
/// assert_eq!(error.code(), Code::Unavailable);
/// assert!(!error.message().contains("fire") && error.to_log().to_string().contains("fire"));
/// ```
pub struct SqlError {
    kind: Kind,
    message: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Unavailable,
    ReadOnly,
    Rejected { field: Box<str> },
    Internal,
}

/// A pool's connection comes back, or a server restarts one, in about this time.
const AWAY: Duration = Duration::from_secs(1);
/// A fail-over, or a person, makes a database writable again: neither is quick.
const NO_WRITES: Duration = Duration::from_secs(30);

pub(super) const COME_BACK: &str =
    "it is away or overloaded: try again, and check that it runs and that `database.url` is right";

impl SqlError {
    /// The store can't be reached, or has no connection, lock or time for us now.
    #[must_use]
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::with_kind(Kind::Unavailable, message)
    }

    /// The store answers but takes no writes.
    #[must_use]
    pub fn read_only(message: impl fmt::Display) -> Self {
        Self::with_kind(Kind::ReadOnly, message)
    }

    /// A value that the caller sent can't be kept: the field that held it, and the rule that it breaks. The caller reads
    /// both; repeat nothing of the value.
    #[must_use]
    pub fn rejected(field: &str, rule: impl fmt::Display) -> Self {
        Self::with_kind(Kind::Rejected { field: field.into() }, rule)
    }

    /// A defect: of the store, of its settings or of the program.
    #[must_use]
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::with_kind(Kind::Internal, message)
    }

    /// The store can't be reached, or has no connection, lock or time for us now. A later call may succeed.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// The store answers but takes no writes: a replica, a server in read-only mode, a protected file. Reads go on.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.kind == Kind::ReadOnly
    }

    /// A value that the caller sent can't be kept by any backend. The message names the rule and repeats nothing of the
    /// value.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self.kind, Kind::Rejected { .. })
    }

    fn with_kind(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string().into() }
    }

    pub(super) fn sql(doing: &str, target: &str, error: &sqlx::Error) -> Self {
        let (kind, advice) = classify(error);
        Self::failed(kind, doing, target, error, advice)
    }

    pub(super) fn migration(table: &str, target: &str, error: &MigrateError) -> Self {
        let doing = "migrate the schema";
        match error {
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => Self::sql(doing, target, cause),
            MigrateError::Dirty(version) => Self::failed(
                Kind::Internal,
                doing,
                target,
                &format_args!("migration {version} was interrupted half way"),
                &format!("undo what it left behind, delete its row from `{table}` and start again"),
            ),
            other => Self::failed(
                Kind::Internal,
                doing,
                target,
                other,
                "another version of this program made the schema: run that one, or a newer one",
            ),
        }
    }

    pub(super) fn timed_out(doing: &str, target: &str, waited: Duration) -> Self {
        let cause = format_args!("no answer within {waited:?}");
        Self::failed(Kind::Unavailable, doing, target, &cause, COME_BACK)
    }

    pub(super) fn no_folder(folder: &Path, target: &str, error: &std::io::Error) -> Self {
        let cause = format_args!("folder {} cannot be made: {error}", folder.display());
        Self::failed(Kind::Unavailable, "connect", target, &cause, "make it, or let this user write there")
    }

    pub(super) fn misconfigured(what: impl fmt::Display) -> Self {
        Self::internal(format_args!("the database is not configured right: {what}"))
    }

    fn failed(kind: Kind, doing: &str, target: &str, cause: &dyn fmt::Display, advice: &str) -> Self {
        Self::with_kind(kind, format_args!("cannot {doing} (database {target}): {cause}; {advice}"))
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        let message = error.message;
        match error.kind {
            Kind::Unavailable => {
                Self::unavailable("the data can't be reached now: try again").with_retry_delay(AWAY).with_log(message)
            }
            Kind::ReadOnly => Self::unavailable("nothing can be stored now: the data can only be read")
                .with_reason("READ_ONLY", "kit.sql")
                .with_retry_delay(NO_WRITES)
                .with_log(message),
            Kind::Rejected { field } => {
                Self::invalid_argument(format!("{field}: {message}")).with_field_violation(field, message)
            }
            Kind::Internal => Self::internal("internal error").with_log(message),
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlError").field("kind", &self.kind).field("message", &self.message).finish()
    }
}

impl std::error::Error for SqlError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn callers_hear_what_to_do_and_the_log_why() {
        for (error, code, delay) in [
            (SqlError::unavailable("host db7"), Code::Unavailable, Some(AWAY)),
            (SqlError::read_only("host db7"), Code::Unavailable, Some(NO_WRITES)),
            (SqlError::internal("host db7"), Code::Internal, None),
        ] {
            let error = Error::from(error);
            assert_eq!((error.code(), error.retry_delay()), (code, delay));
            assert!(!error.message().contains("db7"), "{error}");
            assert!(error.to_log().to_string().contains("db7"));
        }
        let rejected = Error::from(SqlError::rejected("content", "must not hold a NUL"));
        assert_eq!(rejected.code(), Code::InvalidArgument);
        assert_eq!(rejected.field_violations().first().map(|v| v.field.as_str()), Some("content"));
    }
}
