//! URIs by the grammar of RFC 3986, with the zones of RFC 6874.

use std::net::Ipv6Addr;

/// `URI`: a scheme and what follows.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    is_scheme(scheme) && is_rest(rest, true)
}

/// `URI-reference`.
pub(super) fn is_reference(text: &str) -> bool {
    is_uri(text) || is_rest(text, false)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Authority, path, query, fragment. Without a scheme a colon in the first segment would make one.
fn is_rest(text: &str, after_scheme: bool) -> bool {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let path_fits = match text.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            is_authority(authority) && are_chars(path, b"/:@")
        }
        None => {
            let first = text.split('/').next().unwrap_or_default();
            are_chars(text, b"/:@") && (after_scheme || !first.contains(':'))
        }
    };
    path_fits && are_chars(query, b"/?:@") && are_chars(fragment, b"/?:@")
}

fn is_authority(text: &str) -> bool {
    let (user, rest) = text.split_once('@').unwrap_or(("", text));
    are_chars(user, b":") && is_host_and_port(rest)
}

fn is_host_and_port(text: &str) -> bool {
    let (host_fits, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((literal, port)) => (is_literal(literal), port),
            None => return false,
        },
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (are_chars(host, b"") && is_decoded_utf8(host), port)
        }
    };
    let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    host_fits && port_fits
}

/// What stands in brackets: an IPv6 address, with a zone or without, or what may come after IPv6.
fn is_literal(text: &str) -> bool {
    if let Some(future) = text.strip_prefix(['v', 'V']) {
        let Some((version, address)) = future.split_once('.') else { return false };
        let is_hex = !version.is_empty() && version.bytes().all(|b| b.is_ascii_hexdigit());
        return is_hex && !address.is_empty() && !address.contains('%') && are_chars(address, b":");
    }
    match text.split_once("%25") {
        Some((address, zone)) => {
            let fits = !zone.is_empty() && !zone.bytes().any(is_sub_delimiter) && are_chars(zone, b"");
            fits && is_decoded_utf8(zone) && address.parse::<Ipv6Addr>().is_ok()
        }
        None => text.parse::<Ipv6Addr>().is_ok(),
    }
}

fn is_sub_delimiter(b: u8) -> bool {
    b"!$&'()*+,;=".contains(&b)
}

/// Whether there are only unreserved characters, sub-delimiters, percent-encoded bytes and those of `also`.
fn are_chars(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let fits = match b {
            b'%' => [bytes.next(), bytes.next()].iter().all(|b| b.is_some_and(|b| b.is_ascii_hexdigit())),
            b'-' | b'.' | b'_' | b'~' => true,
            _ => b.is_ascii_alphanumeric() || is_sub_delimiter(b) || also.contains(&b),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// What is percent-encoded in a host must be the UTF-8 of a name.
fn is_decoded_utf8(text: &str) -> bool {
    percent_encoding::percent_decode_str(text).decode_utf8().is_ok()
}
