//! HTTP/1.1 with connections that are kept: one call at a time, and of the answer only what says where it ends.

mod head;

use std::rc::Rc;

use head::{chunk_size, head, head_length, line};

use super::protocol::{Broken, Ended, Kind, Nanos, Outcome, Protocol};

/// The longest status line and headers.
const MOST_HEAD: usize = 64 * 1024;

/// A request, written out once.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    /// Answers to HEAD have no body, whatever their headers say.
    pub(super) is_head: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    ChunkSize,
    /// With the line end behind it.
    Chunk(u64),
    Trailers,
    /// Until the connection is closed.
    UntilEnd,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Http1 {
    request: Rc<Request>,
    call: Option<Nanos>,
    state: State,
    status: u32,
    /// The server keeps no connection after this answer.
    last: bool,
    done: bool,
    messages: u64,
}

impl Http1 {
    pub(super) fn new(request: Rc<Request>) -> Self {
        Self { request, call: None, state: State::Head, status: 0, last: false, done: false, messages: 0 }
    }

    fn end(&mut self, ended: &mut Vec<Ended>) {
        let Some(start) = self.call.take() else { return };
        self.messages += 1;
        self.done |= self.last;
        self.state = State::Head;
        let outcome = match self.status {
            200..=299 | 304 => Outcome::Ok,
            status => Outcome::Error(Kind::Http(status), None),
        };
        ended.push(Ended { start, outcome });
    }

    /// Takes one part of an answer; `None` when more of it must come first.
    fn step(&mut self, input: &[u8], ended: &mut Vec<Ended>) -> Result<Option<usize>, Broken> {
        match self.state {
            State::Head => {
                let Some(length) = head_length(input) else {
                    if input.len() > MOST_HEAD {
                        return Err(Broken::new("the headers of an answer are longer than 64 KB"));
                    }
                    // Something else talks here: said before a whole head of it has come, which may never be.
                    if !b"HTTP/1.".starts_with(input.get(..7).unwrap_or(input)) {
                        return Err(Broken::new("the answer is no HTTP/1.1"));
                    }
                    return Ok(None);
                };
                let head = head(input.get(..length).unwrap_or_default())?;
                // An interim answer: the real one follows.
                if head.status == 101 {
                    return Err(Broken::new("the server changes to another protocol (101)"));
                }
                if (100..200).contains(&head.status) {
                    return Ok(Some(length));
                }
                self.status = head.status;
                self.last = !head.keep;
                let empty = self.request.is_head || matches!(head.status, 204 | 304);
                match (head.chunked, head.length) {
                    _ if empty => self.end(ended),
                    (true, _) => self.state = State::ChunkSize,
                    (false, Some(0)) => self.end(ended),
                    (false, Some(length)) => self.state = State::Body(length),
                    (false, None) => self.state = State::UntilEnd,
                }
                Ok(Some(length))
            }
            State::Body(left) => {
                let taken = left.min(input.len() as u64);
                self.state = State::Body(left - taken);
                if left == taken {
                    self.end(ended);
                }
                Ok(Some(taken as usize))
            }
            State::ChunkSize => {
                let Some(line) = line(input)? else { return Ok(None) };
                self.state = match chunk_size(line)? {
                    0 => State::Trailers,
                    size => State::Chunk(size + 2),
                };
                Ok(Some(line.len()))
            }
            State::Chunk(left) => {
                let taken = left.min(input.len() as u64);
                self.state = if left == taken { State::ChunkSize } else { State::Chunk(left - taken) };
                Ok(Some(taken as usize))
            }
            State::Trailers => {
                let Some(line) = line(input)? else { return Ok(None) };
                if line.trim_ascii().is_empty() {
                    self.end(ended);
                }
                Ok(Some(line.len()))
            }
            State::UntilEnd => Ok(Some(input.len())),
        }
    }
}

impl Protocol for Http1 {
    fn open(&mut self, _: &mut Vec<u8>) {}

    fn is_ready(&self) -> bool {
        true
    }

    fn room(&self) -> usize {
        usize::from(self.call.is_none() && !self.done)
    }

    fn begin(&mut self, start: Nanos, out: &mut Vec<u8>) {
        self.call = Some(start);
        out.extend_from_slice(&self.request.bytes);
    }

    fn receive(&mut self, input: &[u8], _: Nanos, _: &mut Vec<u8>, ended: &mut Vec<Ended>) -> Result<usize, Broken> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            if self.call.is_none() {
                return Err(Broken::new("the server speaks before it is asked"));
            }
            match self.step(rest, ended)? {
                Some(length) => taken += length,
                None => break,
            }
        }
        Ok(taken)
    }

    fn expire(&mut self, before: Nanos, _: &mut Vec<u8>, ended: &mut Vec<Ended>) {
        if let Some(start) = self.call.take_if(|start| *start <= before) {
            // Its answer may still come, and nothing would tell it from the next one.
            self.done = true;
            ended.push(Ended { start, outcome: Outcome::Error(Kind::Timeout, None) });
        }
    }

    fn finish(&mut self, ended: &mut Vec<Ended>) {
        if self.state == State::UntilEnd {
            self.end(ended);
        }
        self.done = true;
    }

    fn abandon(&mut self, kind: Kind, why: &str, ended: &mut Vec<Ended>) {
        if let Some(start) = self.call.take() {
            ended.push(Ended { start, outcome: Outcome::error(kind, why) });
        }
        self.done = true;
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn take_messages(&mut self) -> u64 {
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests;
