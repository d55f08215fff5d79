//! The client's end of a connection, with frames and header lines written by hand: it has to cost next to nothing, because the same
//! machine holds both ends.

use std::{io, net::SocketAddr};

use tokio::net::TcpStream;

use crate::{
    Failure,
    servers::{json, note},
};

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// HTTP/1.1.
    Http1,
}

impl Protocol {
    /// As the arguments of a process have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http1 => "http1",
        }
    }

    /// The protocol of this [`Protocol::name`].
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, Failure> {
        [Self::Grpc, Self::Http1].into_iter().find(|one| one.name() == name).ok_or_else(|| "no such protocol".into())
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// How much a server may send on all streams of a connection before it hears again of room: nobody waits for room here.
const ROOM: u32 = 1 << 30;

/// The fields of a call that name themselves: what clients of gRPC send.
const FIELDS: [(u8, &str, &str); 5] = [
    // The first byte has the index of the name in the static table of HPACK, or 0 for a name that is not there.
    (4, ":path", "/press.Press/Echo"),
    (1, ":authority", "localhost"),
    (31, "content-type", "application/grpc"),
    (0, "te", "trailers"),
    (58, "user-agent", "benches/0.1"),
];

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    protocol: Protocol,
    next_stream: u32,
    received: u32,
    answered: bool,
    // A frame, or the head of an answer, of which the rest has not come yet.
    unread: Vec<u8>,
    to_send: Vec<u8>,
}

impl Connection {
    /// Opens a connection from an address of the loopback network: each has ports of its own.
    ///
    /// # Errors
    /// When nobody listens, or there are no more descriptors or ports.
    pub async fn open(protocol: Protocol, from: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(from)?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        // Whoever closes first keeps the port for a minute, unless it closes so.
        stream.set_zero_linger()?;
        let mut to_send = Vec::new();
        if protocol == Protocol::Grpc {
            to_send.extend_from_slice(PREFACE);
            frame(&mut to_send, SETTINGS, 0, 0, &[]);
            frame(&mut to_send, WINDOW_UPDATE, 0, 0, &ROOM.to_be_bytes());
        }
        Ok(Self { stream, protocol, next_stream: 1, received: 0, answered: false, unread: Vec::new(), to_send })
    }

    /// Makes a call and waits for the end of its answer.
    ///
    /// # Errors
    /// When the connection broke, or the answer is not the book.
    pub async fn call(&mut self) -> Result<(), Failure> {
        match self.protocol {
            Protocol::Grpc => grpc_call(&mut self.to_send, self.next_stream),
            Protocol::Http1 => {
                let (length, json) = (json().len(), json());
                let request = format!(
                    "POST /v1/notes HTTP/1.1\r\nhost: localhost\r\nuser-agent: benches/0.1\r\n\
                     content-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
                );
                self.to_send.extend_from_slice(request.as_bytes());
            }
        }
        self.answered = false;
        let mut buffer = [0; 4096];
        loop {
            self.send().await?;
            self.stream.readable().await?;
            let ended = self.read(&mut buffer)?;
            if ended {
                self.next_stream += 2;
                // Answers to the server's settings and pings.
                self.send().await?;
                self.unread.shrink_to(0);
                self.to_send.shrink_to(0);
                return Ok(());
            }
        }
    }

    /// Reads what has come while nobody called, and answers pings.
    ///
    /// # Errors
    /// When the server has closed the connection.
    pub async fn keep(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 512];
        self.read(&mut buffer)?;
        self.send().await
    }

    async fn send(&mut self) -> Result<(), Failure> {
        while !self.to_send.is_empty() {
            match self.stream.try_write(&self.to_send) {
                Ok(count) => drop(self.to_send.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there; whether it was the end of an answer.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        match self.stream.try_read(buffer) {
            Ok(0) => Err("the server closed the connection".into()),
            Ok(count) => {
                self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
                match self.protocol {
                    Protocol::Grpc => self.take_frames(),
                    Protocol::Http1 => self.take_answer(),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn take_frames(&mut self) -> Result<bool, Failure> {
        let (mut at, mut ended) = (0, false);
        while let Some((kind, flags, payload)) = self.unread.get(at..).and_then(first_frame) {
            at += 9 + payload.len();
            match kind {
                DATA => {
                    self.answered |= payload.len() > 5;
                    self.received = self.received.saturating_add(u32::try_from(payload.len())?);
                }
                RST_STREAM | GOAWAY => return Err(format!("the server gave up: {kind} {payload:?}").into()),
                SETTINGS if flags & ACK == 0 => frame(&mut self.to_send, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => frame(&mut self.to_send, PING, ACK, 0, payload),
                _ => {}
            }
            ended |= matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        }
        self.unread.drain(..at);
        if self.received > ROOM / 2 {
            frame(&mut self.to_send, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
            self.received = 0;
        }
        if ended && !self.answered {
            return Err("the call failed: the answer has no message".into());
        }
        Ok(ended)
    }

    fn take_answer(&mut self) -> Result<bool, Failure> {
        let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
        let head = std::str::from_utf8(self.unread.get(..end).unwrap_or_default())?.to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(format!("the call failed: {head}").into());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let whole = end + 4 + length.ok_or("an answer without its length")?.trim().parse::<usize>()?;
        if self.unread.len() < whole {
            return Ok(false);
        }
        self.unread.drain(..whole);
        Ok(true)
    }
}

fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    to.extend_from_slice(length.get(1..).unwrap_or_default());
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// Kind, flags and payload of the frame at the beginning, if it is all there.
fn first_frame(bytes: &[u8]) -> Option<(u8, u8, &[u8])> {
    let &[a, b, c, kind, flags, ..] = bytes.get(..9)? else { return None };
    let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
    Some((kind, flags, bytes.get(9..9 + length)?))
}

/// A whole call. The first of a connection puts its fields into the table of the server's decoder, as clients do; the later
/// ones name them by their index.
fn grpc_call(to: &mut Vec<u8>, stream: u32) {
    // :method POST and :scheme http have an index always.
    let mut fields = vec![0x83, 0x86];
    for ((index, name, value), newer) in FIELDS.iter().zip((0_u8..5).rev()) {
        if stream > 1 {
            fields.push(0x80 | (62 + newer));
            continue;
        }
        fields.push(0x40 | index);
        let text = [name, value];
        for text in text.iter().skip(usize::from(*index != 0)) {
            fields.push(u8::try_from(text.len()).unwrap_or_default());
            fields.extend_from_slice(text.as_bytes());
        }
    }
    frame(to, HEADERS, END_HEADERS, stream, &fields);
    frame(to, DATA, END_STREAM, stream, &grpc_message(&note()));
}

/// A message as gRPC sends it: not compressed, with its length before it.
pub fn grpc_message(message: &impl prost::Message) -> Vec<u8> {
    let length = u32::try_from(message.encoded_len()).unwrap_or_default();
    let mut bytes = vec![0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes
}
