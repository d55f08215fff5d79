//! A stream of answers as an HTTP body.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    Body, KEEP_ALIVE,
    accept::StreamFormat,
    answer::{as_raw, error_json, message_json, raw_type},
    bodies::AnswerBody,
};
use crate::{
    Error, Message, RequestId, Response, Streaming, json::Options, proto::google::api::HttpBody,
    transport::answer_headers,
};

/// Marks an answer whose parts must not wait for each other: it is not compressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live;

/// How long what was written has to leave before a body is broken off: hyper drops what it still holds then, over HTTP/1 the
/// head of the answer too.
const FLUSH: Duration = Duration::from_millis(100);

/// How the messages of a stream are written.
pub(super) struct Writing {
    pub(super) format: StreamFormat,
    pub(super) response_body: Option<String>,
    pub(super) options: Options,
}

/// The answer of a call that streams.
///
/// An error that is there at once becomes the status of the answer. A later one is the last thing in the body, which is
/// then broken off: a client that only counts bytes must not take it for complete.
pub(super) async fn answer<M: Message>(
    response: Response<Streaming<M>>,
    writing: Writing,
    request_id: &RequestId,
) -> Result<http::Response<AnswerBody>, Error> {
    let (metadata, mut stream) = response.into_parts();
    let mut headers = answer_headers(metadata, request_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let raw = (&M::default() as &dyn std::any::Any).is::<HttpBody>();
    let first = if raw { Some(stream.message().await.transpose()) } else { ready_now(&mut stream) };
    if let Some(Some(Err(error))) = first {
        return Err(error);
    }
    // What was taken out goes back in front; `None` inside is the end.
    let taken = match first {
        Some(Some(item)) => vec![item],
        Some(None) => {
            stream = Streaming::new(futures_util::stream::empty());
            Vec::new()
        }
        None => Vec::new(),
    };
    if raw {
        return raw_answer(taken, stream, headers);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(writing.format.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx gathers answers in buffers unless it is told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    let messages = Streaming::new(futures_util::stream::iter(taken).chain(stream));
    Ok(live(Body::from_stream(Written::new(messages, writing)), headers))
}

fn live(body: Body, headers: HeaderMap) -> http::Response<AnswerBody> {
    let mut response = http::Response::new(AnswerBody::Boxed(body));
    *response.headers_mut() = headers;
    response.extensions_mut().insert(Live);
    response
}

/// The first item, if it is there without waiting.
fn ready_now<M: Message>(stream: &mut Streaming<M>) -> Option<Option<Result<M, Error>>> {
    // The stream is polled again by whoever sends the body, so this waker is not missed.
    match Pin::new(stream).poll_next(&mut TaskContext::from_waker(std::task::Waker::noop())) {
        Poll::Ready(item) => Some(item),
        Poll::Pending => None,
    }
}

fn raw_answer<M: Message>(
    taken: Vec<Result<M, Error>>,
    stream: Streaming<M>,
    mut headers: HeaderMap,
) -> Result<http::Response<AnswerBody>, Error> {
    let first = taken.first().and_then(|item| item.as_ref().ok()).and_then(as_raw);
    let content_type = raw_type(first.unwrap_or(&HttpBody::default()))?;
    headers.insert(header::CONTENT_TYPE, content_type);
    let chunks = futures_util::stream::iter(taken).chain(stream).then(|item| async {
        match item {
            Ok(message) => Ok(Bytes::from(as_raw(&message).map(|raw| raw.data.clone()).unwrap_or_default())),
            Err(error) => {
                sleep(FLUSH).await;
                Err(error)
            }
        }
    });
    Ok(live(Body::from_stream(chunks), headers))
}

enum State {
    /// The next thing is a message; `first` until one was written.
    Messages {
        first: bool,
    },
    /// The error was written: the body is broken off when it had time to leave.
    Broken(Error, Pin<Box<Sleep>>),
    Ended,
}

/// The bytes of a stream of messages.
struct Written<M> {
    messages: Streaming<M>,
    writing: Writing,
    state: State,
    idle: Pin<Box<Sleep>>,
}

impl<M: Message> Written<M> {
    fn new(messages: Streaming<M>, writing: Writing) -> Self {
        Self { messages, writing, state: State::Messages { first: true }, idle: Box::pin(sleep(KEEP_ALIVE)) }
    }

    fn frame(&self, event: &str, json: &[u8], first: bool) -> Bytes {
        let mut out = Vec::with_capacity(json.len() + 16);
        match self.writing.format {
            StreamFormat::Lines => {
                out.extend_from_slice(json);
                out.push(b'\n');
            }
            StreamFormat::Events => {
                out.extend_from_slice(event.as_bytes());
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(json);
                out.extend_from_slice(b"\n\n");
            }
            StreamFormat::Array => {
                out.push(if first { b'[' } else { b',' });
                out.extend_from_slice(json);
            }
        }
        out.into()
    }

    fn error_frame(&self, error: &Error, first: bool) -> Bytes {
        let mut json = b"{\"error\":".to_vec();
        json.extend(error_json(error));
        json.push(b'}');
        self.frame("event: error\n", &json, first)
    }
}

impl<M: Message> Stream for Written<M> {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let first = match std::mem::replace(&mut this.state, State::Ended) {
            State::Messages { first } => first,
            State::Broken(error, mut flushed) => {
                if flushed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(Err(error)));
                }
                this.state = State::Broken(error, flushed);
                return Poll::Pending;
            }
            State::Ended => return Poll::Ready(None),
        };
        let item = match Pin::new(&mut this.messages).poll_next(cx) {
            Poll::Ready(item) => item,
            Poll::Pending => {
                this.state = State::Messages { first };
                if this.writing.format == StreamFormat::Events && this.idle.as_mut().poll(cx).is_ready() {
                    this.idle.as_mut().reset(Instant::now() + KEEP_ALIVE);
                    return Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n"))));
                }
                return Poll::Pending;
            }
        };
        let json = item.map(|item| {
            item.and_then(|message| {
                message_json(&message, this.writing.response_body.as_deref(), &this.writing.options)
            })
        });
        match json {
            Some(Ok(json)) => {
                this.state = State::Messages { first: false };
                this.idle.as_mut().reset(Instant::now() + KEEP_ALIVE);
                Poll::Ready(Some(Ok(this.frame("", &json, first))))
            }
            Some(Err(error)) => {
                let frame = this.error_frame(&error, first);
                this.state = State::Broken(error, Box::pin(sleep(FLUSH)));
                Poll::Ready(Some(Ok(frame)))
            }
            None if this.writing.format == StreamFormat::Array => {
                Poll::Ready(Some(Ok(Bytes::from_static(if first { b"[]" } else { b"]" }))))
            }
            None => Poll::Ready(None),
        }
    }
}
