//! The RateLimit headers: `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset` (IETF draft
//! `draft-ietf-httpapi-ratelimit-headers`, the three that all clients know).
//!
//! The three are told of one and the same amount: `Limit` is how many calls may come at once when nothing is owed (the burst),
//! `Remaining` how many of them may come now, `Reset` in how many seconds it is all of them again.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::gcra::{Rate, Verdict};
use crate::Metadata;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

const SECOND: u64 = 1_000_000_000;

/// What an answer carries. In a box, because most carry nothing, and what calls carry around should be small.
pub(crate) type Headers = Option<Box<Metadata>>;

/// The headers after a decision.
pub(super) fn of(rate: Rate, verdict: Verdict) -> Metadata {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(LIMIT, HeaderValue::from(rate.remaining(0)));
    headers.insert(REMAINING, HeaderValue::from(rate.remaining(verdict.debt)));
    // Rounded up: who comes then finds it so.
    headers.insert(RESET, HeaderValue::from(verdict.debt.div_ceil(SECOND)));
    Metadata::from_headers(headers)
}
