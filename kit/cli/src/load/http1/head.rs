//! The lines of an HTTP/1.1 answer that say where it ends.

use crate::load::protocol::Broken;

/// The longest line inside a chunked body: the size of a chunk, or a trailer.
const MOST_LINE: usize = 8 * 1024;

/// What the head of an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u32,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) keep: bool,
}

/// The length of a head, with the empty line that ends it.
pub(super) fn head_length(input: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + input.get(from..)?.iter().position(|&byte| byte == b'\n')? + 1;
        match input.get(end..)? {
            [b'\n', ..] => return Some(end + 1),
            [b'\r', b'\n', ..] => return Some(end + 2),
            _ => from = end,
        }
    }
}

pub(super) fn head(text: &[u8]) -> Result<Head, Broken> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let (minor, status) = match first {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', status @ ..] => (minor, status),
        _ => return Err(Broken::new("the answer is no HTTP/1.1")),
    };
    let status = match status.get(..3).and_then(decimal) {
        Some(status @ 100..=999) => status as u32,
        _ => return Err(Broken::new("an answer without a status")),
    };
    let mut head = Head { status, length: None, chunked: false, keep: *minor == b'1' };
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // Most headers have a length of none of these.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = decimal(value).ok_or_else(|| Broken::new("a content-length that is no number"))?;
                if head.length.is_some_and(|other| other != length) {
                    return Err(Broken::new("two values of content-length"));
                }
                head.length = Some(length);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
                head.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    if token.eq_ignore_ascii_case(b"close") {
                        head.keep = false;
                    } else if token.eq_ignore_ascii_case(b"keep-alive") {
                        head.keep = true;
                    }
                }
            }
            _ => {}
        }
    }
    // Where both are there, the body is chunked (RFC 9112, 6.3).
    if head.chunked {
        head.length = None;
    }
    // Without either, the body ends with the connection.
    head.keep &= head.chunked || head.length.is_some() || matches!(status, 204 | 304);
    Ok(head)
}

/// A line with its end.
pub(super) fn line(input: &[u8]) -> Result<Option<&[u8]>, Broken> {
    match input.iter().position(|&byte| byte == b'\n') {
        Some(end) => Ok(input.get(..=end)),
        None if input.len() > MOST_LINE => Err(Broken::new("a line in a chunked body is longer than 8 KB")),
        None => Ok(None),
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    // What is longer is no length of anything here.
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

pub(super) fn chunk_size(line: &[u8]) -> Result<u64, Broken> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if digits.is_empty() || digits.len() > 15 {
        return Err(Broken::new("a chunk whose size is no number"));
    }
    digits.iter().try_fold(0u64, |size, &digit| match char::from(digit).to_digit(16) {
        Some(digit) => Ok(size << 4 | u64::from(digit)),
        None => Err(Broken::new("a chunk whose size is no number")),
    })
}
