//! The body of an answer on its way to a stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::Body as _;

use super::super::write_timeout::Patience;
use crate::transport::http::bodies::AnswerBody;

/// Sends a body as fast as the peer takes it: a piece that does not fit into the window of the stream is all that waits here.
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    piece: Option<Bytes>,
    rest: Rest,
    /// With a window that does not open. The connection is alive, so that its own clock sees nothing of it.
    patience: Patience,
}

/// What comes after the piece that waits.
enum Rest {
    Body(AnswerBody),
    Trailers(HeaderMap),
    Nothing,
}

impl Sending {
    /// A body.
    pub(super) fn body(stream: SendStream<Bytes>, body: AnswerBody, write_timeout: Duration) -> Self {
        Self { stream, piece: None, rest: Rest::Body(body), patience: Patience::new(write_timeout) }
    }

    /// One piece and trailers.
    pub(super) fn piece(stream: SendStream<Bytes>, piece: Bytes, trailers: HeaderMap, write_timeout: Duration) -> Self {
        let patience = Patience::new(write_timeout);
        Self { stream, piece: Some(piece), rest: Rest::Trailers(trailers), patience }
    }

    /// Done when all was handed to the connection. It fails when the stream is gone.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            // So that a reset is heard while it waits for the body or the window.
            if self.stream.poll_reset(cx)?.is_ready() {
                return Poll::Ready(Ok(()));
            }
            if let Some(piece) = &self.piece {
                if !piece.is_empty() {
                    // A byte is enough to be in the queue for the window of the connection, and takes it from no other stream.
                    self.stream.reserve_capacity(1);
                    while self.stream.capacity() == 0 {
                        match self.stream.poll_capacity(cx) {
                            Poll::Ready(Some(capacity)) => {
                                capacity?;
                            }
                            Poll::Ready(None) => return Poll::Ready(Ok(())),
                            Poll::Pending => {
                                ready!(self.patience.poll_over(cx));
                                tracing::debug!("the client takes nothing of an answer");
                                self.stream.send_reset(Reason::CANCEL);
                                return Poll::Ready(Ok(()));
                            }
                        }
                    }
                    self.patience.renew();
                }
                let last = match &self.rest {
                    Rest::Body(body) => body.is_end_stream(),
                    Rest::Trailers(_) => false,
                    Rest::Nothing => true,
                };
                self.stream.send_data(self.piece.take().unwrap_or_default(), last)?;
                if last {
                    return Poll::Ready(Ok(()));
                }
            }
            match std::mem::replace(&mut self.rest, Rest::Nothing) {
                Rest::Body(mut body) => {
                    let frame = Pin::new(&mut body).poll_frame(cx);
                    self.rest = Rest::Body(body);
                    match ready!(frame) {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => self.piece = Some(data),
                            Err(frame) => {
                                if let Ok(trailers) = frame.into_trailers() {
                                    self.rest = Rest::Trailers(trailers);
                                }
                            }
                        },
                        // An answer that breaks off must not look complete.
                        Some(Err(error)) => {
                            tracing::debug!(%error, "the body of an answer");
                            self.stream.send_reset(Reason::INTERNAL_ERROR);
                            return Poll::Ready(Ok(()));
                        }
                        None => {
                            self.rest = Rest::Nothing;
                            self.piece = Some(Bytes::new());
                        }
                    }
                }
                Rest::Trailers(trailers) => {
                    self.stream.reserve_capacity(0);
                    return Poll::Ready(self.stream.send_trailers(trailers));
                }
                Rest::Nothing => return Poll::Ready(self.stream.send_data(Bytes::new(), true)),
            }
        }
    }
}
