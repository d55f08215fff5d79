//! The names that every version of Prometheus can read.

/// A metric's.
pub(super) fn is_metric(name: &str) -> bool {
    starts_well(name, ":") && name.bytes().all(|b| is_part(b) || b == b':')
}

/// A label's; those with two underscores in front are Prometheus' own.
pub(super) fn is_label(name: &str) -> bool {
    starts_well(name, "") && name.bytes().all(is_part) && !name.starts_with("__")
}

fn starts_well(name: &str, more: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || more.contains(c))
}

fn is_part(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}
