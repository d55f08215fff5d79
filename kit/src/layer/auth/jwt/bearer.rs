use http::header::AUTHORIZATION;

use super::{Failure, Refused};
use crate::Metadata;

/// The bearer token among what came with a call.
pub(super) fn token(metadata: &Metadata, max_size: usize) -> Result<&str, Refused> {
    let mut values = metadata.headers().get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Refused::new(Failure::Missing, "there is no authorization")) };
    if values.next().is_some() {
        return Err(Refused::new(Failure::Malformed, "there is more than one authorization"));
    }
    let bytes = value.as_bytes();
    let Some((scheme, rest)) = bytes.split_at_checked(SCHEME.len()) else { return Err(other_scheme()) };
    if !scheme.eq_ignore_ascii_case(SCHEME) || rest.first().is_some_and(|byte| *byte != b' ') {
        return Err(other_scheme());
    }
    // Before anything that costs time by the size of the token.
    if rest.len() > max_size.saturating_add(1) {
        let log = format!("the token has {} bytes, the limit is {max_size}", rest.len().saturating_sub(1));
        return Err(Refused::new(Failure::TooLarge, log));
    }
    let token = std::str::from_utf8(rest.trim_ascii()).unwrap_or_default();
    if token.is_empty() {
        return Err(Refused::new(Failure::Malformed, "the token is empty or no text"));
    }
    Ok(token)
}

const SCHEME: &[u8] = b"bearer";

fn other_scheme() -> Refused {
    Refused::new(Failure::Missing, "the authorization is of another scheme than Bearer")
}
