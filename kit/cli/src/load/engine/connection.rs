//! A socket, and the protocol that is spoken on it.

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::load::protocol::{Nanos, Protocol};

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Connecting,
    /// Connected, but the server has not said what must be known first.
    Opening,
    Ready,
}

/// What a read brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) new: usize,
    /// With what was left of the read before.
    pub(super) all: usize,
}

#[derive(Debug)]
pub(super) struct Connection<P> {
    socket: Option<TcpStream>,
    pub(super) state: State,
    pub(super) protocol: P,
    /// What is to be sent.
    pub(super) out: Vec<u8>,
    sent: usize,
    /// The start of something that has not come whole.
    rest: Vec<u8>,
    /// When the last attempt began.
    pub(super) since: Nanos,
    pub(super) retry_at: Nanos,
    /// Attempts in a row that came to nothing.
    pub(super) failures: u32,
    /// No call has begun on it.
    pub(super) idle: bool,
    /// It is among those with something to send.
    pub(super) marked: bool,
}

impl<P: Protocol> Connection<P> {
    pub(super) fn new(protocol: P) -> Self {
        Self {
            socket: None,
            state: State::Closed,
            protocol,
            out: Vec::new(),
            sent: 0,
            rest: Vec::new(),
            since: 0,
            retry_at: 0,
            failures: 0,
            idle: true,
            marked: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.state == State::Ready && self.protocol.room() > 0
    }

    pub(super) fn begin(&mut self, start: Nanos) {
        self.idle = false;
        self.protocol.begin(start, &mut self.out);
    }

    pub(super) fn connect(
        &mut self,
        registry: &Registry,
        token: Token,
        address: SocketAddr,
        now: Nanos,
    ) -> io::Result<()> {
        let mut socket = TcpStream::connect(address)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.socket = Some(socket);
        self.state = State::Connecting;
        self.since = now;
        Ok(())
    }

    /// Whether the connection has been made; to be asked when the socket has something to say.
    pub(super) fn connected(&mut self) -> io::Result<bool> {
        let Some(socket) = &self.socket else { return Ok(false) };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        socket.set_nodelay(true)?;
        self.state = State::Opening;
        self.protocol.open(&mut self.out);
        Ok(true)
    }

    /// Ends it; another protocol waits for the next attempt.
    pub(super) fn close(&mut self, registry: &Registry, protocol: P) {
        if let Some(mut socket) = self.socket.take() {
            // It is closed in any case.
            let _ = registry.deregister(&mut socket);
        }
        self.state = State::Closed;
        self.protocol = protocol;
        self.out.clear();
        self.sent = 0;
        self.rest.clear();
    }

    /// Sends what the socket takes, and says how much.
    pub(super) fn send(&mut self) -> io::Result<usize> {
        let mut total = 0;
        if !matches!(self.state, State::Opening | State::Ready) {
            return Ok(total);
        }
        let Some(socket) = &mut self.socket else { return Ok(total) };
        while let Some(unsent) = self.out.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
            match socket.write(unsent) {
                Ok(length) => {
                    self.sent += length;
                    total += length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sent >= self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(total)
    }

    /// Reads behind what was left before. The second is whether there may be more; `None` when there is nothing.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<(Length, bool)>> {
        let Some(socket) = &mut self.socket else { return Ok(None) };
        let kept = self.rest.len();
        if buffer.len() < kept * 2 {
            buffer.resize(kept * 2, 0);
        }
        loop {
            let Some(space) = buffer.get_mut(kept..) else { return Ok(None) };
            let room = space.len();
            match socket.read(space) {
                Ok(new) => {
                    if let Some(start) = buffer.get_mut(..kept) {
                        start.copy_from_slice(&self.rest);
                    }
                    self.rest.clear();
                    return Ok(Some((Length { new, all: kept + new }, new == room)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps what has not come whole.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }
}
