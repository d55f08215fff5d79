//! Server-sent events out of a body.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_core::Stream;

use crate::Error;

/// One event.
pub(super) struct Event {
    /// Whether it is the error that the stream ends with.
    pub(super) error: bool,
    pub(super) data: Bytes,
}

/// The events of a body.
pub(super) struct Events<S> {
    chunks: S,
    buffer: BytesMut,
    searched: usize,
    limit: usize,
    error: bool,
    data: BytesMut,
}

impl<S> Events<S> {
    pub(super) fn new(chunks: S, limit: usize) -> Self {
        Self { chunks, buffer: BytesMut::new(), searched: 0, limit, error: false, data: BytesMut::new() }
    }

    fn line(&mut self) -> Option<Bytes> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        match unsearched.iter().position(|b| *b == b'\n') {
            Some(at) => {
                let line = self.buffer.split_to(self.searched + at).freeze();
                self.buffer.advance(1);
                self.searched = 0;
                Some(line.strip_suffix(b"\r").map(|line| line.to_vec().into()).unwrap_or(line))
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            let (error, data) = (std::mem::take(&mut self.error), std::mem::take(&mut self.data));
            return (!data.is_empty()).then(|| Event { error, data: data.freeze() });
        }
        let value = |rest: &'_ [u8]| rest.strip_prefix(b" ").unwrap_or(rest).to_vec();
        if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.extend_from_slice(b"\n");
            }
            self.data.extend_from_slice(&value(data));
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.error = value(name) == b"error";
        }
        None
    }
}

impl<S: Stream<Item = Result<Bytes, Error>> + Unpin> Stream for Events<S> {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            while let Some(line) = self.line() {
                if let Some(event) = self.take_line(&line) {
                    return Poll::Ready(Some(Ok(event)));
                }
            }
            if self.buffer.len() + self.data.len() > self.limit {
                let limit = self.limit;
                let error = Error::resource_exhausted(format!("a message of the stream is larger than {limit} bytes"));
                return Poll::Ready(Some(Err(error)));
            }
            match ready!(Pin::new(&mut self.chunks).poll_next(cx)) {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}
