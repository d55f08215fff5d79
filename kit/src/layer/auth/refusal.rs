//! What a caller that is not known is told.

use http::{HeaderValue, header::WWW_AUTHENTICATE};

use super::Failure;
use crate::{Code, Error, Metadata};

/// The values of `WWW-Authenticate` (RFC 6750, section 3).
#[derive(Clone, Debug)]
pub(in crate::layer) struct Challenges {
    missing: HeaderValue,
    invalid: HeaderValue,
    expired: HeaderValue,
}

impl Challenges {
    /// Of a scheme and a realm that were checked.
    pub(in crate::layer) fn new(scheme: &'static str, realm: &str) -> Self {
        let realm = if realm.is_empty() { Vec::new() } else { vec![format!("realm=\"{realm}\"")] };
        let value = |more: &[&str]| {
            let parameters: Vec<_> = realm.iter().map(String::as_str).chain(more.iter().copied()).collect();
            let text = format!("{scheme} {}", parameters.join(", "));
            HeaderValue::try_from(text.trim_end()).unwrap_or(HeaderValue::from_static("Bearer"))
        };
        // The error codes are those of bearer tokens.
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        let (error, told) = ("error=\"invalid_token\"", "error_description=\"the token has expired\"");
        let of = |parameters: &[&str]| value(if bearer { parameters } else { &[] });
        Self { missing: value(&[]), invalid: of(&[error]), expired: of(&[error, told]) }
    }

    /// Completes an error: how to come again, and the reason. One that is not `UNAUTHENTICATED` is none of the caller's.
    pub(in crate::layer) fn complete(&self, error: Error) -> Error {
        if error.code() != Code::Unauthenticated {
            return error;
        }
        let challenge = match Failure::of(&error) {
            Failure::Missing => &self.missing,
            Failure::Expired => &self.expired,
            _ => &self.invalid,
        };
        let challenged = error.metadata().headers().contains_key(WWW_AUTHENTICATE);
        let error = if error.reason().is_none() { error.with_reason("UNAUTHENTICATED", "kit") } else { error };
        if challenged {
            return error;
        }
        let mut metadata = Metadata::new();
        metadata.set(WWW_AUTHENTICATE, challenge.clone());
        error.with_metadata(metadata)
    }
}
