//! What a call fails with: a code, a message for the caller, and apart from it what only the log may see.
//!
//! ```
//! use kit::{Code, Error};
//!
//! let error = Error::not_found("there is no book 7").with_log("shard 3, table books");
//! assert_eq!(error.code(), Code::NotFound);
//! assert_eq!(error.message(), "there is no book 7");
//! assert!(!error.is_fault());
//! assert!(error.to_log().to_string().contains("shard 3"));
//! ```
//!
//! A service's own error becomes an [`Error`] where `?` meets it, by the `From` that its author writes: only the author
//! knows which code it deserves, and what of it a caller may read.
//!
//! ```
//! enum Shop { SoldOut, Database(std::io::Error) }
//!
//! impl From<Shop> for kit::Error {
//!     fn from(error: Shop) -> Self {
//!         match error {
//!             Shop::SoldOut => kit::Error::failed_precondition("sold out").with_reason("SOLD_OUT", "shop.example"),
//!             Shop::Database(e) => kit::Error::unavailable("try again").with_source(e),
//!         }
//!     }
//! }
//! ```

use std::{backtrace::Backtrace, borrow::Cow, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::Metadata;

mod code;
pub(crate) mod stack;
#[cfg(test)]
mod tests;

pub use code::{Class, Code};

/// Anything that may be the cause of an error.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The outcome of a call that did not succeed.
///
/// Opaque, and one pointer wide. `Display` shows what the caller may see; [`Error::to_log`] and `Debug` show all.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    message: Cow<'static, str>,
    log: Option<String>,
    reason: Option<Reason>,
    violations: Vec<FieldViolation>,
    retry_delay: Option<Duration>,
    details: Vec<prost_types::Any>,
    metadata: Metadata,
    received: Metadata,
    source: Option<Source>,
    stack: Option<Arc<Backtrace>>,
    panicked: bool,
    /// Where it is another than that of the code.
    class: Option<Class>,
    unprocessed: bool,
}

/// A machine-readable reason: `google.rpc.ErrorInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// UPPER_SNAKE_CASE, unique in its domain: `STOCK_EMPTY`.
    pub reason: String,
    /// Who defines the reason, mostly the name of a service.
    pub domain: String,
    /// Further facts by lowerCamel key.
    pub metadata: BTreeMap<String, String>,
}

/// What is wrong with one field of a request: a violation of `google.rpc.BadRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field: `sub.tags[2]`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub description: String,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::new(Code::$code, message)
        })*
    };
}

impl Error {
    /// An error whose `message` the caller will read. `OK` is no error: it becomes `UNKNOWN`.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        // A transport would send it as a success without an answer.
        let code = if code == Code::Ok { Code::Unknown } else { code };
        Self(Box::new(Inner {
            code,
            message: message.into(),
            log: None,
            reason: None,
            violations: Vec::new(),
            retry_delay: None,
            details: Vec::new(),
            metadata: Metadata::new(),
            received: Metadata::new(),
            source: None,
            stack: stack::capture(code),
            panicked: false,
            class: None,
            unprocessed: false,
        }))
    }

    constructors! {
        /// The caller gave up.
        cancelled => Cancelled;
        /// The request is wrong whatever the state of the system.
        invalid_argument => InvalidArgument;
        /// The time that the caller or we allow ran out.
        deadline_exceeded => DeadlineExceeded;
        /// What was asked for does not exist.
        not_found => NotFound;
        /// What was to be created exists.
        already_exists => AlreadyExists;
        /// The caller is known and may not do this.
        permission_denied => PermissionDenied;
        /// The caller is not known.
        unauthenticated => Unauthenticated;
        /// A quota, a limit or a capacity is used up.
        resource_exhausted => ResourceExhausted;
        /// The system is not in the state that the call needs.
        failed_precondition => FailedPrecondition;
        /// The call lost against another one.
        aborted => Aborted;
        /// A position past the end.
        out_of_range => OutOfRange;
        /// There is no such method, or not here.
        unimplemented => Unimplemented;
        /// A bug of ours. Put the details into [`Error::with_log`].
        internal => Internal;
        /// We can't serve now; another try may succeed.
        unavailable => Unavailable;
    }

    /// Adds a line for the log that the caller does not see.
    #[must_use]
    pub fn with_log(mut self, message: impl Into<String>) -> Self {
        self.0.log = Some(message.into());
        self
    }

    /// Adds the cause; the caller does not see it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a machine-readable reason (`google.rpc.ErrorInfo`).
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>, domain: impl Into<String>) -> Self {
        self.0.reason = Some(Reason { reason: reason.into(), domain: domain.into(), metadata: BTreeMap::new() });
        self
    }

    /// Adds a fact to the reason.
    #[must_use]
    pub fn with_reason_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.reason.get_or_insert_default().metadata.insert(key.into(), value.into());
        self
    }

    /// Adds what is wrong with a field (`google.rpc.BadRequest`).
    #[must_use]
    pub fn with_field_violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.violations.push(FieldViolation { field: field.into(), description: description.into() });
        self
    }

    /// Says when another try makes sense (`google.rpc.RetryInfo`, `Retry-After`).
    #[must_use]
    pub fn with_retry_delay(mut self, delay: Duration) -> Self {
        self.0.retry_delay = Some(delay);
        self
    }

    /// Adds any message as a detail; the caller sees it.
    #[must_use]
    pub fn with_detail<M: crate::Message>(mut self, detail: &M) -> Self {
        self.0.details.push(prost_types::Any {
            type_url: format!("type.googleapis.com/{}", M::NAME),
            value: detail.encode_to_vec(),
        });
        self
    }

    /// Adds a detail that is packed already.
    #[must_use]
    pub fn with_any(mut self, detail: prost_types::Any) -> Self {
        self.0.details.push(detail);
        self
    }

    /// Adds metadata that travels back to our caller with the error: gRPC trailers, HTTP headers.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata.extend(metadata);
        self
    }

    /// Notes what a service that was called sent beside the error: it is read here and goes no further.
    #[cfg(any(feature = "grpc", feature = "http"))]
    pub(crate) fn with_received_metadata(mut self, metadata: Metadata) -> Self {
        self.0.received = metadata;
        self
    }

    /// Marks the error as a refusal of a layer of our own ([`Class::Rejected`]), so that no breaker counts it.
    #[must_use]
    pub fn as_rejection(self) -> Self {
        self.of_class(Some(Class::Rejected))
    }

    /// Says whose failure it is, whatever the code says; `None`: what the code says.
    #[must_use]
    pub(crate) fn of_class(mut self, class: Option<Class>) -> Self {
        self.0.class = class;
        self
    }

    /// Marks the error as one of a call that surely never reached the service: the connection could not be made, the stream was
    /// refused. Such a call may be made again whatever its method does. For channels; a service can't know it of itself.
    #[must_use]
    pub fn unprocessed(mut self) -> Self {
        self.0.unprocessed = true;
        self
    }

    /// What a handler returns was processed, whatever became of the calls that it made.
    pub(crate) fn processed(mut self) -> Self {
        self.0.unprocessed = false;
        self
    }

    /// Notes that it was a panic, and where.
    pub(crate) fn of_panic(mut self, stack: Option<Backtrace>) -> Self {
        self.0.panicked = true;
        self.0.stack = stack.map(Arc::new).or(self.0.stack);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The message for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The line for the log.
    pub(crate) fn log(&self) -> Option<&str> {
        self.0.log.as_deref()
    }

    /// Where the error was made: of panics that were recovered, and of faults that were made in a call whose errors are
    /// reported (see [`layer::report`](crate::layer::report)).
    pub fn stack(&self) -> Option<&Backtrace> {
        self.0.stack.as_deref()
    }

    pub(crate) fn shared_stack(&self) -> Option<Arc<Backtrace>> {
        self.0.stack.clone()
    }

    /// Whether it stands for a panic that was recovered.
    pub(crate) fn is_panic(&self) -> bool {
        self.0.panicked
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> Option<&Reason> {
        self.0.reason.as_ref()
    }

    /// What is wrong with which field.
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.0.violations
    }

    /// When another try makes sense.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// The details other than reason, violations and retry delay, packed.
    pub fn details(&self) -> &[prost_types::Any] {
        &self.0.details
    }

    /// The first detail of a type.
    pub fn detail<M: crate::Message>(&self) -> Option<M> {
        let found = self.0.details.iter().find(|any| any.type_url.rsplit('/').next() == Some(M::NAME))?;
        M::decode(found.value.as_slice()).ok()
    }

    /// Metadata that travels back to our caller with the error.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// What a service that was called sent beside the error. It is not sent on to our own caller.
    pub fn received_metadata(&self) -> &Metadata {
        &self.0.received
    }

    /// The one classification that retries, breakers, metrics and the log level follow: that of the code, unless a layer knew
    /// better. See [`Error::as_rejection`] and [`layer::timeout`](crate::layer::timeout).
    pub fn class(&self) -> Class {
        self.0.class.unwrap_or_else(|| self.0.code.class())
    }

    /// Whether a layer of our own refused the call; the service never saw it.
    pub(crate) fn is_refusal(&self) -> bool {
        self.0.class == Some(Class::Rejected)
    }

    /// Whether it speaks against the health of whoever answered: what a breaker counts.
    pub fn is_fault(&self) -> bool {
        matches!(self.class(), Class::Fault | Class::Transient)
    }

    /// Whether the same call may succeed when it is made again.
    pub fn is_retryable(&self) -> bool {
        self.class() == Class::Transient || (self.class() == Class::Rejected && self.0.retry_delay.is_some())
    }

    /// Whether the call surely never reached the service: see [`Error::unprocessed`].
    pub fn is_unprocessed(&self) -> bool {
        self.0.unprocessed
    }

    /// The same error for another caller who shares the outcome: all of it, the causes as text.
    pub(crate) fn share(&self) -> Self {
        let inner = &*self.0;
        let mut log = inner.log.clone();
        let mut source: Option<&(dyn std::error::Error + 'static)> = inner.source.as_deref().map(|e| e as _);
        while let Some(error) = source {
            let cause = error.to_string();
            log = Some(log.map_or_else(|| cause.clone(), |log| format!("{log}: {cause}")));
            source = error.source();
        }
        Self(Box::new(Inner {
            code: inner.code,
            message: inner.message.clone(),
            log,
            reason: inner.reason.clone(),
            violations: inner.violations.clone(),
            retry_delay: inner.retry_delay,
            details: inner.details.clone(),
            metadata: inner.metadata.clone(),
            received: inner.received.clone(),
            source: None,
            stack: inner.stack.clone(),
            panicked: inner.panicked,
            class: inner.class,
            unprocessed: inner.unprocessed,
        }))
    }

    /// The error with this metadata in the place of all it had.
    #[must_use]
    pub(crate) fn with_only_metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// The error with more for the log, behind what is there.
    #[must_use]
    pub(crate) fn and_log(self, more: impl fmt::Display) -> Self {
        let log = match self.log() {
            Some(log) => format!("{log}; {more}"),
            None => more.to_string(),
        };
        self.with_log(log)
    }

    /// All there is to know, for the log: `Display` of it has the log message and the chain of causes.
    pub fn to_log(&self) -> impl fmt::Display + '_ {
        ToLog(self)
    }
}

struct ToLog<'a>(&'a Error);

impl fmt::Display for ToLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0.0;
        fmt::Display::fmt(self.0, f)?;
        if let Some(reason) = &inner.reason {
            write!(f, " [{}]", reason.reason)?;
        }
        if let Some(log) = &inner.log {
            write!(f, " ({log})")?;
        }
        let mut source: Option<&(dyn std::error::Error + 'static)> = inner.source.as_deref().map(|e| e as _);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            // What `main` prints of the error that it returns.
            return write!(f, "{}", self.to_log());
        }
        let inner = &self.0;
        f.debug_struct("Error")
            .field("code", &inner.code)
            .field("message", &inner.message)
            .field("log", &inner.log)
            .field("reason", &inner.reason)
            .field("violations", &inner.violations)
            .field("retry_delay", &inner.retry_delay)
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

/// What a plain Tower layer fails with: an [`Error`] inside comes out whole, the errors of Tower's own layers get their
/// codes, anything else is `INTERNAL`.
impl From<Source> for Error {
    fn from(source: Source) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => *error,
            Err(source) if source.is::<tower::timeout::error::Elapsed>() => {
                Self::deadline_exceeded("the call took longer than it may").with_source(source)
            }
            Err(source) if source.is::<tower::load_shed::error::Overloaded>() => {
                Self::resource_exhausted("the service has too many calls at once").with_source(source).as_rejection()
            }
            Err(source) => Self::internal("internal error").with_source(source),
        }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
