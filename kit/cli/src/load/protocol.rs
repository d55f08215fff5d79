//! What the engine asks of a protocol: it is told bytes, and says bytes. No socket and no clock is in it.

use std::{fmt, rc::Rc};

/// Nanoseconds since the start of the run.
pub(super) type Nanos = u64;

/// What went wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The answer says so: a gRPC status.
    Grpc(u32),
    /// The answer says so: an HTTP status.
    Http(u32),
    /// The server gave up one stream: the code of RST_STREAM.
    Stream(u32),
    /// No connection was made. Counted for each attempt, for there is no call yet.
    Connect,
    /// The connection ended before the answer.
    Reset,
    /// No answer in time.
    Timeout,
    /// An answer that is none.
    Protocol,
}

/// The names of gRPC's statuses, by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The names of HTTP/2's error codes, by number.
const HTTP2: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// The name of an HTTP/2 error code.
pub(super) fn http2_error(code: u32) -> String {
    HTTP2.get(code as usize).map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Grpc(code) => match GRPC.get(code as usize) {
                Some(name) => f.write_str(name),
                None => write!(f, "gRPC status {code}"),
            },
            Self::Http(status) => write!(f, "HTTP {status}"),
            Self::Stream(code) => write!(f, "stream reset: {}", http2_error(code)),
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
            Self::Protocol => f.write_str("protocol"),
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    /// With what is known of it beyond its kind.
    Error(Kind, Option<Rc<str>>),
    /// The server says that it has not looked at it: it may be sent again.
    Unprocessed,
}

impl Outcome {
    pub(super) fn error(kind: Kind, note: impl Into<Rc<str>>) -> Self {
        Self::Error(kind, Some(note.into()))
    }
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// When it began, or should have.
    pub(super) start: Nanos,
    pub(super) outcome: Outcome,
}

/// Why a connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

impl Broken {
    pub(super) fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// One connection's side of a protocol.
pub(super) trait Protocol {
    /// What a new connection starts with.
    fn open(&mut self, out: &mut Vec<u8>);

    /// Whether the server has said what must be known before the first call.
    fn is_ready(&self) -> bool;

    /// How many calls may begin now.
    fn room(&self) -> usize;

    /// Begins a call; only while there is room.
    fn begin(&mut self, start: Nanos, out: &mut Vec<u8>);

    /// Takes what has come, and says how much of it: the rest is shown again, with more behind it.
    fn receive(&mut self, input: &[u8], now: Nanos, out: &mut Vec<u8>, ended: &mut Vec<Ended>)
    -> Result<usize, Broken>;

    /// Gives up the calls that began at `before` or earlier, or were last heard of then.
    fn expire(&mut self, before: Nanos, out: &mut Vec<u8>, ended: &mut Vec<Ended>);

    /// The server has closed the connection after all it had to say.
    fn finish(&mut self, ended: &mut Vec<Ended>);

    /// Gives up all calls.
    fn abandon(&mut self, kind: Kind, why: &str, ended: &mut Vec<Ended>);

    /// Whether another connection should take the place of this one.
    fn is_done(&self) -> bool;

    /// Messages since this was asked last.
    fn take_messages(&mut self) -> u64;
}
