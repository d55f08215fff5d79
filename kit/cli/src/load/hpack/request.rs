//! The headers of the requests, encoded once.

use super::TABLE_SIZE;

/// Indices of the static table, used for names and for whole fields.
const AUTHORITY: u8 = 1;
const METHOD_POST: u8 = 3;
const PATH: u8 = 4;
const SCHEME_HTTP: u8 = 6;
const CONTENT_TYPE: u8 = 31;
const USER_AGENT: u8 = 58;
/// The newest entry of the dynamic table.
const NEWEST: usize = 62;

/// The headers of a request, which are the same for all of them.
///
/// The first request of a connection puts them into the server's table, the others name the entries: so do other clients,
/// and the server is not charged for what it would not read from them. A server whose table is too small gets them
/// written out each time.
#[derive(Debug)]
pub(in crate::load) struct Request {
    pub(in crate::load) first: Vec<u8>,
    pub(in crate::load) next: Vec<u8>,
    pub(in crate::load) plain: Vec<u8>,
    size: usize,
}

impl Request {
    pub(in crate::load) fn grpc(authority: &str, path: &str, agent: &str, more: &[(String, String)]) -> Self {
        let mut fields = vec![
            (Some(PATH), ":path", path),
            (Some(AUTHORITY), ":authority", authority),
            (None, "te", "trailers"),
            (Some(CONTENT_TYPE), "content-type", "application/grpc"),
            (Some(USER_AGENT), "user-agent", agent),
        ];
        fields.extend(more.iter().map(|(name, value)| (None, name.as_str(), value.as_str())));

        let whole = [0x80 | METHOD_POST, 0x80 | SCHEME_HTTP];
        let (mut first, mut next, mut plain) = (whole.to_vec(), whole.to_vec(), whole.to_vec());
        let mut size = 0;
        for (place, (index, name, value)) in fields.iter().enumerate() {
            literal(&mut first, 0x40, 6, *index, name, value);
            literal(&mut plain, 0x00, 4, *index, name, value);
            // The last one added is the newest.
            integer(&mut next, 0x80, 7, NEWEST + fields.len() - 1 - place);
            size += name.len() + value.len() + 32;
        }
        Self { first, next, plain, size }
    }

    /// Whether a table of this size holds all of them. More than the usual size is never asked for.
    pub(in crate::load) fn fits(&self, table: usize) -> bool {
        table >= TABLE_SIZE && self.size <= TABLE_SIZE
    }
}

/// Says that no dynamic table is used any more.
pub(in crate::load) const NO_TABLE: u8 = 0x20;

fn literal(out: &mut Vec<u8>, pattern: u8, prefix: u32, index: Option<u8>, name: &str, value: &str) {
    integer(out, pattern, prefix, usize::from(index.unwrap_or_default()));
    if index.is_none() {
        string(out, name);
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &str) {
    integer(out, 0x00, 7, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, number: usize) {
    let mask = (1usize << prefix) - 1;
    if number < mask {
        out.push(pattern | number as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = number - mask;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::integer;

    /// RFC 7541, C.1.
    #[test]
    fn the_integers_of_the_standard_are_written() {
        for (prefix, number, bytes) in [(5, 10, &[10][..]), (5, 1337, &[31, 154, 10]), (8, 42, &[42])] {
            let mut out = Vec::new();
            integer(&mut out, 0, prefix, number);
            assert_eq!(out, bytes);
        }
    }
}
