//! Percent escapes. Own code because `http.proto` asks for a decoder that leaves `%2F` alone.

use std::borrow::Cow;

/// What becomes of an escaped slash, the one escape whose meaning depends on the variable it stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slash {
    /// It is data like any other byte.
    Plain,
    /// It must stay apart from the slashes between segments.
    Separator,
}

/// The offset of the first `%` that two hexadecimal digits do not follow.
pub(crate) fn first_bad_escape(text: &str) -> Option<usize> {
    if !has_escapes(text) {
        return None;
    }
    text.match_indices('%').map(|(offset, _)| offset).find(|offset| {
        let after = text.as_bytes().get(offset + 1..).unwrap_or_default();
        split_escape(after).is_none()
    })
}

/// Whether there is a `%`. A path is short: one look at each byte takes less than to begin a search does.
pub(crate) fn has_escapes(text: &str) -> bool {
    text.bytes().fold(false, |found, b| found | (b == b'%'))
}

/// The text before the first `separator`, a character of ASCII, and the text after it.
pub(crate) fn cut(text: &str, separator: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|b| b == separator) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// Decodes once; a broken escape stays as it is, because callers refuse those before.
pub(crate) fn decode(text: &str, slash: Slash) -> Cow<'_, [u8]> {
    if !has_escapes(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match split_escape(after) {
            Some(escape) if byte == b'%' => {
                if escape.byte == b'/' && slash == Slash::Separator {
                    decoded.push(b'%');
                    decoded.extend(escape.digits);
                } else {
                    decoded.push(escape.byte);
                }
                rest = escape.after;
            }
            _ => decoded.push(byte),
        }
    }
    Cow::Owned(decoded)
}

/// Like [`decode`]; `None` when the result is not UTF-8.
pub(crate) fn decode_text(text: &str, slash: Slash) -> Option<Cow<'_, str>> {
    match decode(text, slash) {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Appends `text` with every byte escaped that is neither unreserved (RFC 3986, section 2.3) nor in `safe`.
pub(crate) fn encode(text: &str, safe: &str, out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if is_unreserved(byte) || safe.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 0x0F)]);
        }
    }
}

pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

struct Escape<'t> {
    byte: u8,
    digits: [u8; 2],
    after: &'t [u8],
}

fn split_escape(after_percent: &[u8]) -> Option<Escape<'_>> {
    let [high, low, after @ ..] = after_percent else {
        return None;
    };
    Some(Escape { byte: hex(*high)? << 4 | hex(*low)?, digits: [*high, *low], after })
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_exactly_once() {
        assert_eq!(decode("a%252Fb", Slash::Plain), &b"a%2Fb"[..]);
    }

    #[test]
    fn a_kept_slash_keeps_its_spelling() {
        assert_eq!(decode("%2f%2F%41", Slash::Separator), &b"%2f%2FA"[..]);
        assert_eq!(decode("%2f%2F%41", Slash::Plain), &b"//A"[..]);
    }

    #[test]
    fn finds_the_first_broken_escape() {
        assert_eq!(first_bad_escape("a%41b"), None);
        assert_eq!(first_bad_escape("a%4"), Some(1));
        assert_eq!(first_bad_escape("%41%"), Some(3));
        assert_eq!(first_bad_escape("%é"), Some(0));
        assert_eq!(first_bad_escape("%+1"), Some(0));
    }

    #[test]
    fn bytes_that_are_not_utf8_have_no_text() {
        assert_eq!(decode_text("%ff", Slash::Plain), None);
        assert_eq!(decode_text("%C3%A9", Slash::Plain).as_deref(), Some("é"));
    }

    #[test]
    fn encodes_all_but_unreserved_and_safe() {
        let mut out = String::new();
        encode("aZ09-._~/ é%", "/", &mut out);
        assert_eq!(out, "aZ09-._~/%20%C3%A9%25");
    }
}
