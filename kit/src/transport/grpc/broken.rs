//! Request streams that broke off.
//!
//! tonic takes a stream that the caller reset with CANCEL for one that ended. A handler that was polled between the reset and
//! the end of its call would see a complete stream where half of it is missing, and might confirm it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};
use tonic::body::Body;

use super::from_tonic;
use crate::{Error, Message, Streaming};

/// Whether the body of a request broke off.
#[derive(Clone, Default)]
pub(super) struct Broken(Arc<AtomicBool>);

impl Broken {
    /// The request, whose body is watched.
    pub(super) fn watch(&self, request: http::Request<Body>) -> http::Request<Body> {
        request.map(|inner| Body::new(Watched { inner, broken: self.clone() }))
    }

    /// The stream of messages: its end is an error when the body broke off.
    pub(super) fn stream<M: Message>(self, messages: tonic::Streaming<M>) -> Streaming<M> {
        let messages = messages.map(|item| item.map_err(from_tonic));
        let end = futures_util::stream::poll_fn(move |_| {
            let broken = self.0.swap(false, Ordering::Acquire);
            Poll::Ready(broken.then(|| Err(Error::cancelled("the caller broke the stream off"))))
        });
        Streaming::new(messages.chain(end))
    }
}

struct Watched {
    inner: Body,
    broken: Broken,
}

impl http_body::Body for Watched {
    type Data = bytes::Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, tonic::Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if matches!(frame, Some(Err(_))) {
            self.broken.0.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::StreamBody;
    use tonic::codec::Codec as _;
    use tonic_prost::ProstCodec;

    use super::*;
    use crate::Code;

    /// The messages of a request whose body ends in this way.
    fn received(end: Option<tonic::Status>) -> Streaming<String> {
        let message = prost::Message::encode_to_vec(&"one".to_owned());
        let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
        frame.extend(message);
        let frames = [Ok(Frame::data(Bytes::from(frame)))].into_iter().chain(end.map(Err));
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let broken = Broken::default();
        let request = broken.watch(http::Request::new(body));
        let decoder = ProstCodec::<String, String>::default().decoder();
        broken.stream(tonic::Streaming::new_request(decoder, request.into_body(), None, None))
    }

    #[tokio::test]
    async fn a_stream_that_was_reset_is_not_complete() {
        let mut reset = received(Some(tonic::Status::cancelled("reset")));
        assert_eq!(reset.message().await.unwrap().as_deref(), Some("one"));
        assert_eq!(reset.message().await.unwrap_err().code(), Code::Cancelled);

        let mut whole = received(None);
        assert_eq!(whole.message().await.unwrap().as_deref(), Some("one"));
        assert_eq!(whole.message().await.unwrap(), None);
    }
}
