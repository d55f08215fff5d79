//! One request and its answer on a stream of HTTP/2.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body as _;

use super::{
    super::{calls::Call, port::AppFuture},
    Served,
    sending::Sending,
};
use crate::transport::{
    grpc::{Answer, DirectCall, ok_trailers},
    http::{
        Body,
        bodies::{AnswerBody, RequestBody},
    },
    received::Received,
};

/// The largest message that is handed to the connection with its headers and trailers, whatever the window of the stream: what
/// fits into one frame. So a peer that reads nothing makes us hold as much for each of its streams, and no more.
const AT_ONCE: usize = 16 * 1024;

/// A call, from the head of the request until all of the answer was handed to the connection. Dropping it resets its stream.
pub(super) struct Exchange {
    respond: SendResponse<Bytes>,
    state: State,
    write_timeout: Duration,
    _call: Call,
}

enum State {
    Direct(DirectCall),
    Any(Pin<Box<AppFuture>>),
    Sending(Box<Sending>),
}

impl Exchange {
    /// Begins a call. `None` when that panicked: its stream is reset.
    pub(super) fn new(
        served: &Served,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Option<Self> {
        let call = served.calls.begin();
        let begin = || match served.app.direct(request, &served.peer) {
            Ok(call) => State::Direct(call),
            Err(request) => {
                let (parts, stream) = request.into_parts();
                let body = RequestBody::Boxed(Body::new(Received::new(&parts.headers, stream)));
                State::Any(Box::pin(served.app.answer(http::Request::from_parts(parts, body), &served.peer)))
            }
        };
        // What a service does before its future is there is in the task of the connection, too.
        let Ok(state) = catch_unwind(AssertUnwindSafe(begin)) else {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return None;
        };
        Some(Self { respond, state, write_timeout: served.write_timeout, _call: call })
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            let answered = match &mut self.state {
                State::Direct(call) => call.as_mut().poll(cx).map(Self::direct),
                State::Any(call) => call.as_mut().poll(cx).map(Self::any),
                State::Sending(sending) => return sending.poll(cx),
            };
            let Poll::Ready((head, body)) = answered else {
                // Nobody waits for the answer when the stream was reset, or is gone with its connection.
                return self.respond.poll_reset(cx).map_ok(|_| ());
            };
            let stream = self.respond.send_response(head, matches!(body, Rest::Nothing));
            let mut stream = match stream {
                Ok(stream) => stream,
                Err(error) => {
                    self.respond.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Err(error));
                }
            };
            let sending = match body {
                Rest::Nothing => return Poll::Ready(Ok(())),
                Rest::Message(message) if message.len() <= AT_ONCE => {
                    stream.send_data(message, false)?;
                    return Poll::Ready(stream.send_trailers(ok_trailers()));
                }
                Rest::Message(message) => Sending::piece(stream, message, ok_trailers(), self.write_timeout),
                Rest::Body(body) => Sending::body(stream, body, self.write_timeout),
            };
            self.state = State::Sending(Box::new(sending));
        }
    }

    fn direct(answer: Answer) -> (http::Response<()>, Rest) {
        let (mut headers, rest) = match answer {
            Answer::Message(headers, message) => (headers, Rest::Message(message)),
            Answer::Failed(headers) => (headers, Rest::Nothing),
            Answer::Made(response) => return Self::any(response.map(|body| AnswerBody::Boxed(Body::new(body)))),
        };
        remove_connection_headers(&mut headers);
        let mut head = http::Response::new(());
        *head.headers_mut() = headers;
        (head, rest)
    }

    fn any(response: http::Response<AnswerBody>) -> (http::Response<()>, Rest) {
        let (parts, body) = response.into_parts();
        let mut head = http::Response::from_parts(parts, ());
        let headers = head.headers_mut();
        remove_connection_headers(headers);
        headers.entry(header::DATE).or_insert_with(now);
        if body.is_end_stream() {
            return (head, Rest::Nothing);
        }
        if let Some(length) = body.size_hint().exact() {
            headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
        }
        (head, Rest::Body(body))
    }
}

/// What follows the headers.
enum Rest {
    Nothing,
    Message(Bytes),
    Body(AnswerBody),
}

impl Future for Exchange {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A panic is the end of its own call only: others are on the connection, and in the same task.
        match catch_unwind(AssertUnwindSafe(|| self.poll_sent(cx))) {
            Ok(polled) => {
                if let Err(error) = ready!(polled) {
                    tracing::debug!(%error, "a stream ended before its answer");
                }
            }
            Err(_) => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
        Poll::Ready(())
    }
}

/// Headers of HTTP/1.1 that HTTP/2 forbids (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

fn remove_connection_headers(headers: &mut HeaderMap) {
    // Looking at the few names that are there is cheaper than hashing these.
    if headers.keys().any(|name| OF_CONNECTIONS.contains(name)) {
        OF_CONNECTIONS.iter().for_each(|name| {
            headers.remove(name);
        });
    }
}

/// The time, as a server has to say it that has a clock (RFC 9110, section 6.6.1).
fn now() -> HeaderValue {
    let text = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
