//! The formats of strings that rules know by name.

use std::net::{Ipv4Addr, Ipv6Addr};

mod address;
mod uri;

/// A format that a rule knows by name: `string.email` and the like. The empty string has none of them but `UriRef` and the values of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An email address as HTML forms take it, which is less than RFC 5322 allows.
    Email,
    /// A host name (RFC 1034, RFC 1123); the last label is no number.
    Hostname,
    /// An IP address; an IPv6 one may have a zone.
    Ip,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address, with a zone or without.
    Ipv6,
    /// An absolute URI (RFC 3986).
    Uri,
    /// A URI or a reference relative to one.
    UriRef,
    /// A host name or an IP address.
    Address,
    /// A UUID with its hyphens.
    Uuid,
    /// A UUID without them.
    Tuuid,
    /// A ULID.
    Ulid,
    /// An IP address and the length of a prefix: `10.1.2.3/8`.
    IpWithPrefixlen,
    /// The same of IPv4.
    Ipv4WithPrefixlen,
    /// The same of IPv6.
    Ipv6WithPrefixlen,
    /// An IP network, whose address is zero behind the prefix: `10.0.0.0/8`.
    IpPrefix,
    /// The same of IPv4.
    Ipv4Prefix,
    /// The same of IPv6.
    Ipv6Prefix,
    /// A host name or an IP address (IPv6 in brackets), and a port.
    HostAndPort,
    /// A full protobuf name: `a.b.C`.
    ProtobufFqn,
    /// The same with a dot before it.
    ProtobufDotFqn,
    /// The name of an HTTP header.
    HttpHeaderName,
    /// The value of an HTTP header.
    HttpHeaderValue,
    /// What could be smuggled through as the name of a header: anything in one line.
    LooseHttpHeaderName,
    /// The same as its value.
    LooseHttpHeaderValue,
}

impl Format {
    /// With its article, as in `must be an email address`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Email => "an email address",
            Self::Hostname => "a host name",
            Self::Ip => "an IP address",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Uri => "a URI",
            Self::UriRef => "a URI or a relative reference",
            Self::Address => "a host name or an IP address",
            Self::Uuid => "a UUID",
            Self::Tuuid => "a UUID without hyphens",
            Self::Ulid => "a ULID",
            Self::IpWithPrefixlen => "an IP address with the length of a prefix",
            Self::Ipv4WithPrefixlen => "an IPv4 address with the length of a prefix",
            Self::Ipv6WithPrefixlen => "an IPv6 address with the length of a prefix",
            Self::IpPrefix => "an IP network",
            Self::Ipv4Prefix => "an IPv4 network",
            Self::Ipv6Prefix => "an IPv6 network",
            Self::HostAndPort => "a host and a port",
            Self::ProtobufFqn => "a full protobuf name",
            Self::ProtobufDotFqn => "a full protobuf name with a dot before it",
            Self::HttpHeaderName | Self::LooseHttpHeaderName => "the name of an HTTP header",
            Self::HttpHeaderValue | Self::LooseHttpHeaderValue => "the value of an HTTP header",
        }
    }

    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::Email => address::is_email(text),
            Self::Hostname => address::is_hostname(text),
            Self::Ip => is_ipv4(text) || is_ipv6(text),
            Self::Ipv4 => is_ipv4(text),
            Self::Ipv6 => is_ipv6(text),
            Self::Uri => uri::is_uri(text),
            // The empty one refers to the document that it stands in.
            Self::UriRef => uri::is_reference(text),
            Self::Address => address::is_hostname(text) || is_ipv4(text) || is_ipv6(text),
            Self::Uuid => is_uuid(text),
            Self::Tuuid => text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()),
            Self::Ulid => is_ulid(text),
            Self::IpWithPrefixlen => is_ipv4_network(text, false) || is_ipv6_network(text, false),
            Self::Ipv4WithPrefixlen => is_ipv4_network(text, false),
            Self::Ipv6WithPrefixlen => is_ipv6_network(text, false),
            Self::IpPrefix => is_ipv4_network(text, true) || is_ipv6_network(text, true),
            Self::Ipv4Prefix => is_ipv4_network(text, true),
            Self::Ipv6Prefix => is_ipv6_network(text, true),
            Self::HostAndPort => address::is_host_and_port(text),
            Self::ProtobufFqn => is_protobuf_name(text),
            Self::ProtobufDotFqn => text.strip_prefix('.').is_some_and(is_protobuf_name),
            Self::HttpHeaderName => is_header_name(text),
            Self::HttpHeaderValue => text.bytes().all(|b| b == b'\t' || !b.is_ascii_control()),
            Self::LooseHttpHeaderName => !text.is_empty() && is_one_line(text),
            Self::LooseHttpHeaderValue => is_one_line(text),
        }
    }
}

pub(super) fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

pub(super) fn is_ipv6(text: &str) -> bool {
    let address = match text.split_once('%') {
        Some((_, "")) => return false,
        Some((address, zone)) => {
            if zone.contains('\0') {
                return false;
            }
            address
        }
        None => text,
    };
    address.parse::<Ipv6Addr>().is_ok()
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let hyphen = |at| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| if hyphen(at) { b == b'-' } else { b.is_ascii_hexdigit() })
}

/// 128 bits in 26 characters of Crockford's base 32, so the first has only three.
fn is_ulid(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || b.is_ascii_alphabetic() && !b"ILOU".contains(&b.to_ascii_uppercase());
    text.len() == 26 && text.bytes().all(digit) && text.bytes().next().is_some_and(|b| (b'0'..=b'7').contains(&b))
}

/// Address and length of the prefix, at most `most`.
fn prefix(text: &str, most: u32) -> Option<(&str, u32)> {
    let (address, length) = text.split_once('/')?;
    let is_plain = length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length = length.parse().ok().filter(|length| is_plain && *length <= most)?;
    Some((address, length))
}

fn is_ipv4_network(text: &str, strict: bool) -> bool {
    let Some((address, length)) = prefix(text, 32) else { return false };
    let host = u32::MAX.checked_shr(length).unwrap_or_default();
    address.parse::<Ipv4Addr>().is_ok_and(|address| !strict || u32::from(address) & host == 0)
}

fn is_ipv6_network(text: &str, strict: bool) -> bool {
    let Some((address, length)) = prefix(text, 128) else { return false };
    let host = u128::MAX.checked_shr(length).unwrap_or_default();
    address.parse::<Ipv6Addr>().is_ok_and(|address| !strict || u128::from(address) & host == 0)
}

fn is_protobuf_name(text: &str) -> bool {
    text.split('.').all(|part| {
        part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && !part.is_empty()
    })
}

/// A token (RFC 9110), with a colon before it in HTTP/2.
fn is_header_name(text: &str) -> bool {
    let name = text.strip_prefix(':').unwrap_or(text);
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_one_line(text: &str) -> bool {
    !text.bytes().any(|b| matches!(b, b'\0' | b'\r' | b'\n'))
}
