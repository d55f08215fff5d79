//! How requests leave: as a whole from the template, or in parts where the server's windows are smaller.

use super::{Http2, frame, stream::Stream};
use crate::load::{hpack::NO_TABLE, protocol::Nanos};

/// How the next request's headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Headers {
    First,
    Next,
    Plain { resize: bool },
}

impl Http2 {
    /// Begins a call; there is room for it.
    pub(super) fn request(&mut self, start: Nanos, out: &mut Vec<u8>) {
        let id = self.next_id;
        self.next_id += 2;
        let length = self.request.body.len();
        let window = self.initial_window;
        if self.headers == Headers::Next && length as i64 <= self.window.min(window) && length <= frame::MOST {
            let at = out.len();
            out.extend_from_slice(&self.template);
            let data = at + frame::HEAD + self.request.headers.next.len();
            for at in [at, data] {
                if let Some(place) = out.get_mut(at + 5..at + 9) {
                    place.copy_from_slice(&id.to_be_bytes());
                }
            }
            self.window -= length as i64;
            self.streams.push_back(Stream::new(id, start, window - length as i64, length));
            return;
        }
        let headers = &self.request.headers;
        match self.headers {
            Headers::First => {
                frame::put(out, frame::HEADERS, frame::END_HEADERS, id, &headers.first);
                self.headers = Headers::Next;
            }
            Headers::Next => frame::put(out, frame::HEADERS, frame::END_HEADERS, id, &headers.next),
            Headers::Plain { resize } => {
                let mut block = if resize { vec![NO_TABLE] } else { Vec::new() };
                block.extend_from_slice(&headers.plain);
                frame::put(out, frame::HEADERS, frame::END_HEADERS, id, &block);
                self.headers = Headers::Plain { resize: false };
            }
        }
        self.streams.push_back(Stream::new(id, start, window, 0));
        self.waiting.push_back(id);
        self.pump(out);
    }

    /// Sends as much of the waiting requests as the windows allow.
    pub(super) fn pump(&mut self, out: &mut Vec<u8>) {
        let body = &self.request.body;
        let streams = &mut self.streams;
        let (window, max_frame) = (&mut self.window, self.max_frame);
        self.waiting.retain(|id| {
            let Ok(place) = streams.binary_search_by_key(id, |stream| stream.id) else { return false };
            let Some(stream) = streams.get_mut(place) else { return false };
            loop {
                let left = body.get(stream.sent..).unwrap_or_default();
                let room = stream.window.min(*window).clamp(0, max_frame as i64) as usize;
                let Some(part) = left.get(..room.min(left.len())).filter(|part| !part.is_empty()) else {
                    return !left.is_empty();
                };
                let flags = if part.len() == left.len() { frame::END_STREAM } else { 0 };
                frame::put(out, frame::DATA, flags, stream.id, part);
                stream.sent += part.len();
                stream.window -= part.len() as i64;
                *window -= part.len() as i64;
            }
        });
    }
}
