//! Unary calls without a detour: the message is decoded from the bytes that came, the answer is encoded once into a buffer of its
//! size, and nothing between them is boxed but the call itself.
//!
//! What is compressed goes through tonic, which has the codecs; it is slower than everything here by far.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
#[cfg(feature = "server")]
use h2::RecvStream;
use http::{HeaderMap, HeaderName};
use http_body::{Frame, SizeHint};
use tonic::{body::Body, codec::CompressionEncoding};

use super::{
    arrive::arrive,
    server::{Called, SMALLEST, answer_one, with_usual_code},
};
use crate::{
    Code, Error, Message, Peer, Request, Response,
    transport::{received::Received, request_id},
};

mod answer;
mod message;

pub(crate) use answer::Answer;
#[cfg(feature = "server")]
pub(crate) use answer::ok;

/// A unary call that runs. Dropping it cancels the call.
pub(crate) type UnaryCall = Pin<Box<dyn Future<Output = Answer> + Send>>;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// A unary method of any messages.
pub(super) trait UnaryMethod: Send + Sync {
    fn call(&self, headers: HeaderMap, body: Incoming, peer: Option<Arc<Peer>>) -> UnaryCall;
}

/// The body of a request, from where it comes.
#[cfg_attr(not(feature = "server"), allow(dead_code, reason = "streams are read by our own server alone"))]
pub(super) enum Incoming {
    Stream(Received),
    Body(Body),
}

#[cfg(feature = "server")]
impl Incoming {
    pub(super) fn stream(headers: &HeaderMap, stream: RecvStream) -> Self {
        Self::Stream(Received::new(headers, stream))
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Stream(stream) => Pin::new(stream)
                .poll_frame(cx)
                .map_err(|error| Error::cancelled("the request broke off before its end").with_source(error)),
            Self::Body(body) => Pin::new(body).poll_frame(cx).map_err(|status| {
                Error::new(Code::from_i32(status.code() as i32), status.message().to_owned()).with_source(status)
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Body(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Stream(stream) => stream.size_hint(),
            Self::Body(body) => body.size_hint(),
        }
    }
}

/// A unary method.
pub(super) struct Unary<Req, Res>(pub(super) Arc<Called<Req, Res>>);

impl<Req: Message, Res: Message> UnaryMethod for Unary<Req, Res> {
    fn call(&self, headers: HeaderMap, body: Incoming, peer: Option<Arc<Peer>>) -> UnaryCall {
        let called = Arc::clone(&self.0);
        if is_encoded(&headers) {
            return Box::pin(by_tonic(called, headers, body, peer));
        }
        Box::pin(run(called, headers, body, peer))
    }
}

async fn run<Req: Message, Res: Message>(
    called: Arc<Called<Req, Res>>,
    headers: HeaderMap,
    body: Incoming,
    peer: Option<Arc<Peer>>,
) -> Answer {
    let id = request_id(&headers);
    let encoding = if called.config.compression { accepted(&headers) } else { None };
    let answered = async {
        // The deadline runs from the head of the request on.
        let cx = arrive(called.endpoint.method(), headers, peer, &id)?;
        let bytes = message::read(body, called.config.max_request_size).await?;
        let message = Req::decode(bytes).map_err(|error| {
            Error::internal(format!("the bytes of the request are no {}: {error}", Req::NAME)).with_source(error)
        })?;
        called.limited(called.endpoint.call(Request::new(cx, message)).await?)
    };
    let response: Response<Res> = match answered.await {
        Ok(response) => response,
        Err(error) => return Answer::failed(&error, &id),
    };
    if let Some(encoding) = encoding
        && prost::Message::encoded_len(response.message()) >= SMALLEST
    {
        return Answer::Made(super::server::compressed(response, &id, encoding));
    }
    let (metadata, message) = response.into_parts();
    match message::encode(&message) {
        Ok(bytes) => Answer::message(metadata, &id, bytes),
        Err(error) => Answer::failed(&error, &id),
    }
}

/// A call whose request is compressed.
async fn by_tonic<Req: Message, Res: Message>(
    called: Arc<Called<Req, Res>>,
    headers: HeaderMap,
    body: Incoming,
    peer: Option<Arc<Peer>>,
) -> Answer {
    let mut request = http::Request::new(body);
    *request.headers_mut() = headers;
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let mut grpc = called.grpc::<Req, Res>();
    let called = &called;
    let service = tower::service_fn(move |request: tonic::Request<Req>| async move {
        called.run(request).await.map(|(response, id)| answer_one(response, &id))
    });
    Answer::Made(with_usual_code(grpc.unary(service, request).await))
}

/// Whether the request says that its message is, or may be, compressed.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(&ENCODING).is_some_and(|encoding| encoding != "identity")
}

/// The first way to compress that the caller takes and we have.
fn accepted(headers: &HeaderMap) -> Option<CompressionEncoding> {
    let names = headers.get(&ACCEPT_ENCODING)?.to_str().ok()?;
    names.split(',').find_map(|name| match name.trim() {
        "gzip" => Some(CompressionEncoding::Gzip),
        "zstd" => Some(CompressionEncoding::Zstd),
        _ => None,
    })
}
