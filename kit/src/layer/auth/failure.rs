use std::fmt;

use crate::Error;

/// Why a caller is not known: the label `reason` of `kit_auth_rejected_total`.
///
/// It becomes an [`Error`] by `into()`: `UNAUTHENTICATED`, with a message for the caller that tells no more than it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing came that says who calls.
    Missing,
    /// What came is longer than anything that is read.
    TooLarge,
    /// What came can't be read.
    Malformed,
    /// It is signed in a way that is not taken.
    Algorithm,
    /// It is signed by a key that is not known.
    UnknownKey,
    /// The signature is not that of the key.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is from somebody else.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// Anything else.
    Other,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Missing,
        Self::TooLarge,
        Self::Malformed,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::Other,
    ];

    /// The value of the label: `unknown_key`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Other => "other",
        }
    }

    /// For the caller. Who tries tokens learns nothing from it that the token itself does not say.
    const fn message(self) -> &'static str {
        match self {
            Self::Missing => "the call needs a token: send it as authorization",
            Self::Expired => "the token has expired",
            _ => "the token is not valid",
        }
    }

    /// Which of them an error stands for.
    pub(super) fn of(error: &Error) -> Self {
        let source = std::error::Error::source(error);
        source.and_then(|source| source.downcast_ref()).copied().unwrap_or(Self::Other)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::unauthenticated(failure.message()).with_source(failure)
    }
}
