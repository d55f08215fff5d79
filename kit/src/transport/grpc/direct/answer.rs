//! The answer to a call: headers, one message or many, trailers; or trailers alone.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use http_body::{Frame, SizeHint};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message as _;
use tonic::body::Body;

use super::stream::Messages;

use crate::{
    Error, Message, Metadata, RequestId, Streaming,
    transport::{answer_headers, status},
};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const OK: HeaderValue = HeaderValue::from_static("0");

/// What can't stand in `grpc-message` as it is: the text of the protocol names controls, what is not ASCII, and `%`; the others
/// are what other implementations escape too.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'`').add(b'?').add(b'{').add(b'}');

/// An answer that is ready to be sent.
pub(crate) enum Answer {
    /// The headers, the message with its prefix, and after it [`ok_trailers`].
    Message(HeaderMap, Bytes),
    /// The status of a call without an answer, all in the headers.
    Failed(HeaderMap),
    /// A body: a stream, or what tonic made, which compresses.
    Made(http::Response<Body>),
}

impl Answer {
    /// A message, encoded, and what travels beside it.
    pub(super) fn message(metadata: Metadata, request_id: &RequestId, message: Bytes) -> Self {
        Self::Message(headers(metadata, request_id), message)
    }

    /// An error.
    pub(crate) fn failed(error: &Error, request_id: &RequestId) -> Self {
        let mut headers = failed(error, request_id);
        headers.insert(CONTENT_TYPE, GRPC);
        Self::Failed(headers)
    }

    /// A stream of messages, each encoded when it is there.
    pub(super) fn stream<M: Message>(metadata: Metadata, request_id: RequestId, messages: Streaming<M>) -> Self {
        let headers = headers(metadata, &request_id);
        let mut response = http::Response::new(Body::new(Messages::new(messages, request_id)));
        *response.headers_mut() = headers;
        Self::Made(response)
    }

    /// The same for those who do not write to a stream of HTTP/2 themselves.
    pub(crate) fn into_http(self) -> http::Response<Body> {
        let (headers, body) = match self {
            Self::Message(headers, message) => (headers, Body::new(OneMessage { message: Some(message), over: false })),
            Self::Failed(headers) => (headers, Body::default()),
            Self::Made(response) => return response,
        };
        let mut response = http::Response::new(body);
        *response.headers_mut() = headers;
        response
    }
}

/// The trailers of a call that succeeded.
pub(crate) fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, OK);
    trailers
}

/// The trailers of a call that failed.
pub(super) fn failed(error: &Error, request_id: &RequestId) -> HeaderMap {
    let mut trailers = answer_headers(error.metadata().clone(), request_id);
    trailers.insert(STATUS, HeaderValue::from(error.code() as i32));
    if !error.message().is_empty() {
        let text = utf8_percent_encode(error.message(), ESCAPED).to_string();
        // What is escaped is printable ASCII.
        trailers.insert(MESSAGE, HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")));
    }
    if status::has_details(error) {
        let details = status::to_status(error).encode_to_vec();
        let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(details);
        trailers.insert(DETAILS, HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")));
    }
    trailers
}

fn headers(metadata: Metadata, request_id: &RequestId) -> HeaderMap {
    let mut headers = answer_headers(metadata, request_id);
    headers.insert(CONTENT_TYPE, GRPC);
    headers
}

/// A body of one message and the trailers.
struct OneMessage {
    message: Option<Bytes>,
    over: bool,
}

impl http_body::Body for OneMessage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        let over = std::mem::replace(&mut self.over, true);
        Poll::Ready((!over).then(|| Ok(Frame::trailers(ok_trailers()))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        // Not exact: a length in the headers would keep HTTP/1.1 from sending trailers.
        let mut hint = SizeHint::default();
        hint.set_lower(self.message.as_ref().map_or(0, |message| message.len() as u64));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    /// What tonic reads of a status that we wrote, and what it would have written itself.
    #[test]
    fn a_status_is_what_tonic_makes_of_it() {
        let errors = [
            Error::not_found("no such book"),
            Error::invalid_argument("\u{7f}100 % \"of\" {書}\n<a>`?#\\ ~"),
            Error::internal(""),
            Error::resource_exhausted("slow down").with_reason("RATE", "demo").with_field_violation("id", "above zero"),
        ];
        for error in errors {
            let id = RequestId::random();
            let Answer::Failed(ours) = Answer::failed(&error, &id) else { panic!("no error") };
            let mut theirs = HeaderMap::new();
            super::super::super::to_tonic(error, &id).add_header(&mut theirs).unwrap();
            theirs.insert(CONTENT_TYPE, GRPC);
            assert_eq!(ours, theirs);
        }
        assert_eq!(tonic::Status::from_header_map(&ok_trailers()).unwrap().code(), tonic::Code::Ok);
        assert_eq!(Code::NotFound as i32, 5);
    }
}
