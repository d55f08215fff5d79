//! A stream of messages as the body of an answer.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream as _;
use http::HeaderMap;
use http_body::Frame;

use super::{
    super::codec::{BUFFER, PIECE},
    answer::{failed, ok_trailers},
    message::append,
};
use crate::{Error, Message, RequestId, Streaming};

/// Puts what is there into one piece, and waits only when nothing is.
pub(super) struct Messages<M> {
    /// `None` at the end.
    messages: Option<Streaming<M>>,
    id: RequestId,
    piece: Vec<u8>,
    /// What the next piece has room for: about as much as the last one had.
    room: usize,
    /// What is sent when no piece is left.
    trailers: Option<HeaderMap>,
}

impl<M> Messages<M> {
    pub(super) fn new(messages: Streaming<M>, id: RequestId) -> Self {
        Self { messages: Some(messages), id, piece: Vec::new(), room: BUFFER, trailers: None }
    }

    fn end(&mut self, result: Result<(), Error>) {
        self.messages = None;
        self.trailers = Some(result.map_or_else(|error| failed(&error, &self.id), |()| ok_trailers()));
    }
}

impl<M: Message> Messages<M> {
    fn push(&mut self, message: &M) {
        if self.piece.capacity() == 0 {
            self.piece.reserve(self.room);
        }
        let before = self.piece.len();
        if let Err(error) = append(message, &mut self.piece) {
            self.piece.truncate(before);
            self.end(Err(error));
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            return None;
        }
        // An eighth more, since messages differ.
        self.room = (self.piece.len() + self.piece.len() / 8).clamp(BUFFER, 2 * PIECE);
        Some(std::mem::take(&mut self.piece).into())
    }
}

impl<M: Message> http_body::Body for Messages<M> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        while this.piece.len() < PIECE
            && let Some(messages) = &mut this.messages
        {
            match Pin::new(messages).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => this.push(&message),
                Poll::Ready(Some(Err(error))) => this.end(Err(error)),
                Poll::Ready(None) => this.end(Ok(())),
                Poll::Pending if this.piece.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let frame = this.take().map(Frame::data).or_else(|| this.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none() && self.piece.is_empty() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// The frames of a body: the lengths of its pieces, then the status.
    async fn frames(stream: Streaming<String>) -> (Vec<usize>, String) {
        let mut body = Messages::new(stream, RequestId::random());
        let mut pieces = Vec::new();
        loop {
            match body.frame().await.unwrap().unwrap().into_data() {
                Ok(data) => pieces.push(data.len()),
                Err(frame) => {
                    assert!(http_body::Body::is_end_stream(&body));
                    let trailers = frame.into_trailers().ok().unwrap();
                    return (pieces, trailers["grpc-status"].to_str().unwrap().to_owned());
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_there_at_once_is_one_piece() {
        let message = "x".repeat(98);
        // Tag, length and prefix.
        assert_eq!(frames(Streaming::from_iter(vec![message.clone(); 3])).await, (vec![3 * 105], "0".to_owned()));
        let (pieces, _) = frames(Streaming::from_iter(vec![message; 1000])).await;
        assert_eq!(pieces.iter().sum::<usize>(), 105_000);
        assert!(pieces.iter().all(|piece| *piece < PIECE + 105) && pieces.len() == 4, "{pieces:?}");
        assert_eq!(frames(Streaming::from_iter([])).await, (vec![], "0".to_owned()));
    }

    #[tokio::test]
    async fn what_came_before_an_error_is_sent() {
        let items = [Ok("a".to_owned()), Err(Error::not_found("no more")), Ok("never".to_owned())];
        let stream = Streaming::new(futures_util::stream::iter(items));
        assert_eq!(frames(stream).await, (vec![8], "5".to_owned()));
    }

    #[tokio::test]
    async fn nothing_is_held_back_for_what_is_still_to_come() {
        let (sender, stream) = Streaming::channel(2);
        let mut body = Messages::new(stream, RequestId::random());
        sender.send(Ok("a".to_owned())).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 8);
        sender.send(Ok("bc".to_owned())).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 9);
        drop(sender);
        assert!(body.frame().await.unwrap().unwrap().is_trailers());
        assert!(body.frame().await.is_none());
    }
}
