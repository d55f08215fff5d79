//! gRPC over HTTP/2 (RFC 9113), as a client that makes one call again and again.
//!
//! A call is a template of bytes in which the stream's number is changed; of an answer, the frames are walked, and only
//! their headers read.

mod frame;
mod sending;
mod stream;

use std::{collections::VecDeque, rc::Rc};

use frame::Head;
use sending::Headers;
use stream::Stream;

use super::{
    hpack::{self, Decoder, Fields},
    protocol::{Broken, Ended, Kind, Nanos, Outcome, Protocol, http2_error},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest window that there is: a server is never kept waiting by this side.
const WINDOW: u32 = (1 << 31) - 1;
/// What a window is before anybody has said otherwise.
const DEFAULT_WINDOW: u32 = 65_535;
/// After how many bytes a window is opened again.
const REFILL: u32 = 1 << 30;
/// The longest headers of an answer, when they come in several frames.
const MOST_HEADERS: usize = 64 * 1024;
/// How much may wait to be sent before a server that asks for ever more acknowledgements is left alone.
const MOST_UNSENT: usize = 16 * 1024 * 1024;
/// The last number of a stream: the connection is replaced in time before it.
const LAST_STREAM: u32 = (1 << 31) - 1_000_000;
/// The error code of a call that nobody waits for any more.
const CANCEL: u32 = 8;

/// What is called.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) headers: hpack::Request,
    /// The message with its prefix.
    pub(super) body: Vec<u8>,
    pub(super) server_stream: bool,
    /// Calls at a time on each connection.
    pub(super) streams: usize,
}

/// Headers that go on in the next frame.
#[derive(Debug)]
struct Unfinished {
    stream: u32,
    ends: bool,
    block: Vec<u8>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Http2 {
    request: Rc<Request>,
    /// HEADERS and DATA of a request with indexed headers.
    template: Vec<u8>,
    headers: Headers,
    decoder: Decoder,
    unfinished: Option<Unfinished>,
    ready: bool,
    max_streams: u32,
    initial_window: i64,
    max_frame: usize,
    window: i64,
    received: u32,
    next_id: u32,
    /// By number, which is the order in which they began.
    streams: VecDeque<Stream>,
    /// Those whose request waits for a window.
    waiting: VecDeque<u32>,
    going_away: bool,
    messages: u64,
}

impl Http2 {
    pub(super) fn new(request: Rc<Request>) -> Self {
        let mut template = Vec::new();
        frame::put(&mut template, frame::HEADERS, frame::END_HEADERS, 0, &request.headers.next);
        frame::put(&mut template, frame::DATA, frame::END_STREAM, 0, &request.body);
        Self {
            request,
            template,
            headers: Headers::First,
            decoder: Decoder::new(),
            unfinished: None,
            ready: false,
            max_streams: u32::MAX,
            initial_window: DEFAULT_WINDOW.into(),
            max_frame: frame::MOST,
            window: DEFAULT_WINDOW.into(),
            received: 0,
            next_id: 1,
            streams: VecDeque::new(),
            waiting: VecDeque::new(),
            going_away: false,
            messages: 0,
        }
    }

    fn place(&self, id: u32) -> Option<usize> {
        // Most answers come in the order of the calls.
        match self.streams.front() {
            Some(first) if first.id == id => Some(0),
            _ => self.streams.binary_search_by_key(&id, |stream| stream.id).ok(),
        }
    }

    fn remove(&mut self, place: usize) -> Option<Stream> {
        let stream = self.streams.remove(place)?;
        if stream.sent < self.request.body.len() {
            self.waiting.retain(|&id| id != stream.id);
        }
        Some(stream)
    }

    /// The server has said all it has to say to this call.
    fn end(&mut self, place: usize, out: &mut Vec<u8>, ended: &mut Vec<Ended>) {
        let Some(stream) = self.remove(place) else { return };
        if stream.sent < self.request.body.len() {
            frame::put_number(out, frame::RST_STREAM, stream.id, CANCEL);
        }
        ended.push(Ended { start: stream.start, outcome: stream.outcome(self.request.server_stream) });
    }

    fn frame(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Nanos,
        out: &mut Vec<u8>,
        ended: &mut Vec<Ended>,
    ) -> Result<(), Broken> {
        if !self.ready && head.kind != frame::SETTINGS {
            return Err(Broken::new("the answer is no HTTP/2"));
        }
        if self.unfinished.is_some() && head.kind != frame::CONTINUATION {
            return Err(Broken::new("headers that do not go on"));
        }
        let short = || Broken(format!("a frame of type {} is too short", head.kind));
        match head.kind {
            frame::DATA => {
                let length = payload.len() as u32;
                self.received += length;
                if self.received >= REFILL {
                    frame::put_number(out, frame::WINDOW_UPDATE, 0, self.received);
                    self.received = 0;
                }
                let data = frame::content(head, payload).ok_or_else(short)?;
                let Some(place) = self.place(head.stream) else { return Ok(()) };
                let Some(stream) = self.streams.get_mut(place) else { return Ok(()) };
                stream.heard = now;
                stream.received += length;
                if stream.received >= REFILL {
                    frame::put_number(out, frame::WINDOW_UPDATE, head.stream, stream.received);
                    stream.received = 0;
                }
                self.messages += stream.data(data);
                if head.has(frame::END_STREAM) {
                    self.end(place, out, ended);
                }
            }
            frame::HEADERS => {
                let block = frame::content(head, payload).ok_or_else(short)?;
                let ends = head.has(frame::END_STREAM);
                if !head.has(frame::END_HEADERS) {
                    self.unfinished = Some(Unfinished { stream: head.stream, ends, block: block.to_vec() });
                    return Ok(());
                }
                self.fields(head.stream, ends, block, now, out, ended)?;
            }
            frame::CONTINUATION => {
                let Some(mut unfinished) = self.unfinished.take_if(|begun| begun.stream == head.stream) else {
                    return Err(Broken::new("headers that go on from nowhere"));
                };
                unfinished.block.extend_from_slice(payload);
                if unfinished.block.len() > MOST_HEADERS {
                    return Err(Broken::new("the headers of an answer are longer than 64 KB"));
                }
                if head.has(frame::END_HEADERS) {
                    self.fields(head.stream, unfinished.ends, &unfinished.block, now, out, ended)?;
                } else {
                    self.unfinished = Some(unfinished);
                }
            }
            frame::RST_STREAM => {
                let code = frame::number(payload).ok_or_else(short)?;
                if let Some(stream) = self.place(head.stream).and_then(|place| self.remove(place)) {
                    ended.push(Ended { start: stream.start, outcome: Outcome::Error(Kind::Stream(code), None) });
                }
            }
            frame::SETTINGS if head.has(frame::ACK) => {}
            frame::SETTINGS => {
                self.settings(payload)?;
                frame::put(out, frame::SETTINGS, frame::ACK, 0, &[]);
                self.pump(out);
            }
            frame::PING if !head.has(frame::ACK) => {
                let echo = payload.first_chunk::<8>().ok_or_else(short)?;
                frame::put(out, frame::PING, frame::ACK, 0, echo);
            }
            frame::GOAWAY => {
                let last = frame::number(payload).ok_or_else(short)? & 0x7fff_ffff;
                let code = frame::number(payload.get(4..).unwrap_or_default()).ok_or_else(short)?;
                self.going_away = true;
                while let Some(stream) = self.streams.pop_back_if(|stream| stream.id > last) {
                    self.waiting.retain(|&id| id != stream.id);
                    ended.push(Ended { start: stream.start, outcome: Outcome::Unprocessed });
                }
                if code != 0 {
                    let why = String::from_utf8_lossy(payload.get(8..).unwrap_or_default()).into_owned();
                    return Err(Broken(format!("the server ends the connection: {} {why}", http2_error(code))));
                }
            }
            frame::WINDOW_UPDATE => {
                let more = i64::from(frame::number(payload).ok_or_else(short)? & 0x7fff_ffff);
                let window = match head.stream {
                    0 => &mut self.window,
                    id => match self.place(id).and_then(|place| self.streams.get_mut(place)) {
                        Some(stream) => &mut stream.window,
                        None => return Ok(()),
                    },
                };
                *window += more;
                if *window > i64::from(WINDOW) {
                    return Err(Broken::new("a window larger than there can be"));
                }
                if !self.waiting.is_empty() {
                    self.pump(out);
                }
            }
            frame::PUSH_PROMISE => return Err(Broken::new("a push, which was not allowed")),
            _ => {}
        }
        Ok(())
    }

    fn fields(
        &mut self,
        stream: u32,
        ends: bool,
        block: &[u8],
        now: Nanos,
        out: &mut Vec<u8>,
        ended: &mut Vec<Ended>,
    ) -> Result<(), Broken> {
        let mut fields = Fields::default();
        // Those of a call that was given up, too: the table is that of the connection.
        self.decoder.decode(block, &mut fields).map_err(Broken::new)?;
        let Some(place) = self.place(stream) else { return Ok(()) };
        if let Some(stream) = self.streams.get_mut(place) {
            stream.heard = now;
            stream.fields(fields);
        }
        if ends {
            self.end(place, out, ended);
        }
        Ok(())
    }

    fn settings(&mut self, payload: &[u8]) -> Result<(), Broken> {
        for (setting, value) in frame::settings(payload) {
            match setting {
                frame::HEADER_TABLE_SIZE if !self.request.headers.fits(value as usize) => {
                    self.headers = Headers::Plain { resize: true };
                }
                frame::MAX_CONCURRENT_STREAMS => self.max_streams = value,
                frame::INITIAL_WINDOW_SIZE => {
                    if value > WINDOW {
                        return Err(Broken::new("a window larger than there can be"));
                    }
                    let more = i64::from(value) - self.initial_window;
                    self.initial_window = i64::from(value);
                    for stream in &mut self.streams {
                        stream.window += more;
                    }
                }
                frame::MAX_FRAME_SIZE if value as usize >= frame::MOST => self.max_frame = value as usize,
                _ => {}
            }
        }
        if !self.ready {
            self.ready = true;
            // Its fields would push each other out of the table.
            if self.headers == Headers::First && !self.request.headers.fits(hpack::TABLE_SIZE) {
                self.headers = Headers::Plain { resize: false };
            }
        }
        Ok(())
    }
}

impl Protocol for Http2 {
    fn open(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFACE);
        frame::put_settings(out, &[(frame::ENABLE_PUSH, 0), (frame::INITIAL_WINDOW_SIZE, WINDOW)]);
        frame::put_number(out, frame::WINDOW_UPDATE, 0, WINDOW - DEFAULT_WINDOW);
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn room(&self) -> usize {
        if self.going_away || !self.ready || self.next_id > LAST_STREAM {
            return 0;
        }
        self.request.streams.min(self.max_streams as usize).saturating_sub(self.streams.len())
    }

    fn begin(&mut self, start: Nanos, out: &mut Vec<u8>) {
        self.request(start, out);
    }

    fn receive(
        &mut self,
        input: &[u8],
        now: Nanos,
        out: &mut Vec<u8>,
        ended: &mut Vec<Ended>,
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        while let Some(head) = input.get(taken..).and_then(Head::read) {
            if head.length > frame::MOST {
                let what = if self.ready { "a frame larger than agreed" } else { "the answer is no HTTP/2" };
                return Err(Broken::new(what));
            }
            let start = taken + frame::HEAD;
            let Some(payload) = input.get(start..start + head.length) else { break };
            self.frame(head, payload, now, out, ended)?;
            taken = start + head.length;
        }
        if out.len() > MOST_UNSENT && self.waiting.is_empty() && self.request.body.len() < frame::MOST {
            return Err(Broken::new("the server asks for more acknowledgements than it takes"));
        }
        Ok(taken)
    }

    fn expire(&mut self, before: Nanos, out: &mut Vec<u8>, ended: &mut Vec<Ended>) {
        let streaming = self.request.server_stream;
        let mut place = 0;
        while let Some(stream) = self.streams.get(place) {
            let since = if streaming { stream.heard } else { stream.start };
            if since <= before {
                frame::put_number(out, frame::RST_STREAM, stream.id, CANCEL);
                ended.push(Ended { start: stream.start, outcome: Outcome::Error(Kind::Timeout, None) });
                self.remove(place);
            } else if streaming {
                place += 1;
            } else {
                // The others began later.
                break;
            }
        }
    }

    fn finish(&mut self, _: &mut Vec<Ended>) {
        self.going_away = true;
    }

    fn abandon(&mut self, kind: Kind, why: &str, ended: &mut Vec<Ended>) {
        self.going_away = true;
        self.waiting.clear();
        let why: Rc<str> = why.into();
        ended.extend(
            self.streams
                .drain(..)
                .map(|stream| Ended { start: stream.start, outcome: Outcome::Error(kind, Some(why.clone())) }),
        );
    }

    fn is_done(&self) -> bool {
        (self.going_away || self.next_id > LAST_STREAM) && self.streams.is_empty()
    }

    fn take_messages(&mut self) -> u64 {
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests;
