//! Why a store could not do what it was asked.

use std::fmt;

use crate::Error;

/// A failure of a store, written for operators: it names the server and never its password.
///
/// [`Cached`](super::Cached) needs nobody to handle it: it loads where it cannot read. Whoever uses a store directly may pass
/// it on with `?`: as an [`Error`] it is `UNAVAILABLE`, or `INTERNAL` where the server refuses a command.
#[derive(Debug)]
pub struct CacheError {
    unavailable: bool,
    message: Box<str>,
}

impl CacheError {
    /// The server cannot be reached, or does not answer in time. For doubles of a store in tests too.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self { unavailable: true, message: message.to_string().into() }
    }

    /// The server refuses, or the settings cannot work.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self { unavailable: false, message: message.to_string().into() }
    }

    /// Whether a later try may succeed by itself.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.unavailable
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CacheError {}

impl From<CacheError> for Error {
    fn from(error: CacheError) -> Self {
        let made = if error.unavailable {
            Self::unavailable("try again in a moment")
        } else {
            Self::internal("internal error")
        };
        made.with_log(error.message)
    }
}
