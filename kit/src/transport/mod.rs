//! The doors of a service: gRPC and HTTP/JSON, and what they share.
//!
//! A transport turns bytes into a [`Request`](crate::Request), calls the endpoint, and turns the answer into bytes. It
//! decides nothing else: what holds for a call holds whatever door it came through.

use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::{Context, Metadata, RequestId};

mod failure;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "grpc")]
#[cfg_attr(not(feature = "server"), allow(dead_code, reason = "streams are read by our own server alone"))]
pub(crate) mod received;
pub(crate) mod status;

const REQUEST_ID: HeaderName = HeaderName::from_static(RequestId::HEADER);

/// The largest message taken by default: what gRPC implementations take.
pub(crate) const MAX_MESSAGE_SIZE: usize = 4 * 1024 * 1024;

/// When the caller stops waiting, as it says.
pub(crate) fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, crate::Error> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let timeout = parse_timeout(value.as_bytes()).ok_or_else(|| {
        crate::Error::invalid_argument("grpc-timeout must be 1 to 8 digits and one of H, M, S, m, u, n")
    })?;
    Ok(Instant::now().checked_add(timeout))
}

/// The caller's request id if it sent a well-formed one, or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> RequestId {
    let sent = headers.get(&REQUEST_ID).and_then(|value| RequestId::parse(value.to_str().ok()?));
    sent.unwrap_or_else(RequestId::random)
}

/// Headers that say how a message travels belong to the transport, not to the call.
pub(crate) fn remove_transport_headers(headers: &mut HeaderMap) {
    // A message has few headers, and fewer of these: looking at the names that are there is cheaper than hashing all of ours.
    while let Some(name) = headers.keys().find(|name| is_transport_header(name.as_str())).cloned() {
        headers.remove(name);
    }
}

fn is_transport_header(name: &str) -> bool {
    matches!(
        name,
        "content-type"
            | "content-length"
            | "content-encoding"
            | "transfer-encoding"
            | "te"
            | "trailer"
            | "connection"
            | "keep-alive"
            | "upgrade"
            | "date"
            | "grpc-encoding"
            | "grpc-accept-encoding"
            | "grpc-timeout"
            | "grpc-status"
            | "grpc-message"
            | "grpc-status-details-bin"
            | RequestId::HEADER
    )
}

/// The value of `grpc-timeout`: at most eight digits and a unit.
fn parse_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=8).contains(&digits.len()) {
        return None;
    }
    let mut number = 0u64;
    for digit in digits {
        number = number * 10 + u64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
    }
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The text of `grpc-timeout` for the time that is left; rounded up to what eight digits can say.
pub(crate) fn format_timeout(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let (number, unit) = [(1u128, 'n'), (1_000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S')]
        .into_iter()
        .map(|(nanos, unit)| (left.as_nanos().div_ceil(nanos), unit))
        .find(|(number, _)| *number <= MOST)
        .unwrap_or((MOST, 'S'));
    HeaderValue::try_from(format!("{number}{unit}")).unwrap_or(HeaderValue::from_static("1S"))
}

/// What a client says of its own connection. It is of use to a handler, and wrong on a connection of ours.
const NEVER_SENT_ON: [&str; 10] = [
    "host",
    "accept",
    "accept-encoding",
    "expect",
    "origin",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-connection",
    "http2-settings",
    "user-agent",
];

/// The headers of a call that leaves: its metadata, deadline, request id and trace.
pub(crate) fn depart(cx: &Context) -> HeaderMap {
    let mut headers = cx.departing();
    remove_transport_headers(&mut headers);
    for name in NEVER_SENT_ON {
        headers.remove(name);
    }
    if let Some(left) = cx.remaining() {
        headers.insert("grpc-timeout", format_timeout(left));
    }
    if let Ok(id) = HeaderValue::from_str(cx.request_id().as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    #[cfg(feature = "trace")]
    if let Some(span) = cx.span() {
        span.inject(&mut headers);
    }
    headers
}

/// The headers of an answer: its metadata and the request id.
pub(crate) fn answer_headers(metadata: Metadata, request_id: &RequestId) -> HeaderMap {
    let mut headers = metadata.into_headers();
    remove_transport_headers(&mut headers);
    if let Ok(mut id) = HeaderValue::from_str(request_id.as_str()) {
        // No secret, but another one each time: HTTP/2 remembers the others for the next answer, and would forget them for this.
        id.set_sensitive(true);
        headers.insert(REQUEST_ID, id);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_and_written() {
        for (text, millis) in
            [("1S", 1000), ("250m", 250), ("2M", 120_000), ("1H", 3_600_000), ("99999999m", 99_999_999)]
        {
            assert_eq!(parse_timeout(text.as_bytes()), Some(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "S", "1", "123456789S", "-1S", "1x", "1.5S", "+1S"] {
            assert_eq!(parse_timeout(wrong.as_bytes()), None, "{wrong}");
        }
        for left in
            [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1500), Duration::from_secs(u32::MAX.into())]
        {
            let back = parse_timeout(format_timeout(left).as_bytes()).unwrap();
            let left = left.min(Duration::from_secs(99_999_999));
            // Eight digits: an error of a hundred-millionth, and one unit for rounding up.
            let most = left + left / 9_000_000 + Duration::from_nanos(1);
            assert!((left..=most).contains(&back), "{left:?} became {back:?}");
        }
    }
}
