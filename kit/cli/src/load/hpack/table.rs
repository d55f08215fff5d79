//! The tables of HPACK, as far as somebody needs them who asks only for the status of an answer.

use std::{collections::VecDeque, rc::Rc};

/// The names of the static table (RFC 7541, appendix A); its first entry has index 1.
const NAMES: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

/// The statuses at index 8 and on.
const STATUSES: [u32; 7] = [200, 204, 206, 304, 400, 404, 500];
const FIRST_STATUS: usize = 8;

/// What RFC 7541 adds to the size of each entry.
const OVERHEAD: usize = 32;

/// The names that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Status,
    GrpcStatus,
    GrpcMessage,
    Other,
}

impl Name {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b":status" => Self::Status,
            b"grpc-status" => Self::GrpcStatus,
            b"grpc-message" => Self::GrpcMessage,
            _ => Self::Other,
        }
    }
}

/// What a field says, when its name matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    Number(u32),
    Text(Rc<str>),
}

/// A field: of most, only the sizes are kept, which say when it leaves the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Name,
    pub(super) name_len: usize,
    pub(super) value: Value,
    pub(super) value_len: usize,
}

/// The dynamic table, newest first.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Field>,
    size: usize,
    limit: usize,
}

impl Table {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, limit }
    }

    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(0);
    }

    pub(super) fn add(&mut self, field: Field) {
        let size = field.name_len + field.value_len + OVERHEAD;
        self.evict(size);
        // One that is larger than the table empties it, and is not kept.
        if size <= self.limit {
            self.size += size;
            self.entries.push_front(field);
        }
    }

    fn evict(&mut self, more: usize) {
        while self.size + more > self.limit {
            let Some(gone) = self.entries.pop_back() else { return };
            self.size -= gone.name_len + gone.value_len + OVERHEAD;
        }
    }

    /// The name of an entry, and its length.
    pub(super) fn name(&self, index: usize) -> Option<(Name, usize)> {
        match NAMES.get(index.checked_sub(1)?) {
            Some(name) => Some((Name::of(name.as_bytes()), name.len())),
            None => self.entries.get(index - NAMES.len() - 1).map(|field| (field.name, field.name_len)),
        }
    }

    /// What an entry says.
    pub(super) fn value(&self, index: usize) -> Option<(Name, Value)> {
        if index.checked_sub(1)? < NAMES.len() {
            let status = index.checked_sub(FIRST_STATUS).and_then(|place| STATUSES.get(place));
            return Some(match status {
                Some(&status) => (Name::Status, Value::Number(status)),
                None => (Name::Other, Value::Nothing),
            });
        }
        self.entries.get(index - NAMES.len() - 1).map(|field| (field.name, field.value.clone()))
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}
