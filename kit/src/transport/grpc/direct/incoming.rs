//! The body of a request, from where it comes, and how long it may take.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;

use crate::{Code, Error, transport::received::Received};

/// The body of a request of one message. A caller that does not send all of it holds a stream, and nothing that is limited yet.
pub(in super::super) struct Incoming {
    source: Source,
    limit: Duration,
    /// Made when it is waited for: mostly the body comes with its head.
    clock: Option<Pin<Box<Sleep>>>,
}

#[cfg_attr(not(feature = "server"), allow(dead_code, reason = "streams are read by our own server alone"))]
enum Source {
    Stream(Received),
    Body(Body),
}

impl Incoming {
    /// A body of which all has to be there in the time of `limit`.
    pub(in super::super) fn body(body: Body, limit: Duration) -> Self {
        Self { source: Source::Body(body), limit, clock: None }
    }

    /// The same of a stream of HTTP/2.
    #[cfg(feature = "server")]
    pub(in super::super) fn stream(headers: &http::HeaderMap, stream: h2::RecvStream, limit: Duration) -> Self {
        Self { source: Source::Stream(Received::new(headers, stream)), limit, clock: None }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { source, limit, clock } = &mut *self;
        let polled = match source {
            Source::Stream(stream) => Pin::new(stream)
                .poll_frame(cx)
                .map_err(|error| Error::cancelled("the request broke off before its end").with_source(error)),
            Source::Body(body) => Pin::new(body).poll_frame(cx).map_err(|status| {
                Error::new(Code::from_i32(status.code() as i32), status.message().to_owned()).with_source(status)
            }),
        };
        if polled.is_ready() {
            return polled;
        }
        ready!(clock.get_or_insert_with(|| Box::pin(sleep(*limit))).as_mut().poll(cx));
        let limit = crate::duration::format(*limit);
        Poll::Ready(Some(Err(Error::cancelled(format!("the message of the request did not come within {limit}")))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Stream(stream) => stream.is_end_stream(),
            Source::Body(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Stream(stream) => stream.size_hint(),
            Source::Body(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_ends() {
        let first = futures_util::stream::iter([Ok::<_, tonic::Status>(Frame::data(Bytes::from_static(b"some")))]);
        let stalls = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        let mut body = Incoming::body(Body::new(StreamBody::new(stalls)), Duration::from_secs(30));
        let began = tokio::time::Instant::now();
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!((error.code(), began.elapsed().as_secs()), (Code::Cancelled, 30));
        assert!(error.message().contains("30s"), "{error}");
    }
}
