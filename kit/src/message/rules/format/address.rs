//! Email addresses and host names.

use super::{is_ipv4, is_ipv6};

/// The longest name that DNS has (RFC 1035, without the length bytes).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What the HTML standard calls a valid email address: no quotes, no comments, no address literals.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_local = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    !local.is_empty() && local.bytes().all(is_local) && are_labels(domain)
}

pub(super) fn is_hostname(text: &str) -> bool {
    // The root may be named.
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    // A last label of digits alone would look like an IPv4 address.
    are_labels(name) && !name.rsplit('.').next().is_some_and(is_number)
}

fn are_labels(name: &str) -> bool {
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// `host:port`, `[::1]:port`.
pub(super) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_fits = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(is_ipv6),
        None => is_hostname(host) || is_ipv4(host),
    };
    host_fits && is_port(port)
}

fn is_port(text: &str) -> bool {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain && text.parse::<u16>().is_ok()
}
