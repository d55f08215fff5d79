//! Calls whose request is one message, without a detour: it is decoded from the bytes that came, the answer is encoded once into a buffer of its
//! size, and nothing between them is boxed but the call itself.
//!
//! What is compressed goes through tonic, which has the codecs; it is slower than everything here by far.

use std::{future::Future, pin::Pin, sync::Arc};

use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderName};
use tonic::codec::CompressionEncoding;

use super::{
    arrive::arrive,
    server::{Called, SMALLEST, answer_one, answer_stream, as_usual, compressed},
    to_tonic,
};
use crate::{Error, Message, Payload, Peer, Request, RequestId, Response, Streaming, transport::request_id};

mod answer;
mod incoming;
mod message;
mod stream;

pub(crate) use answer::Answer;
#[cfg(feature = "server")]
pub(crate) use answer::ok_trailers;
pub(super) use incoming::Incoming;

/// A call that runs, until its answer begins. Dropping it cancels the call.
pub(crate) type DirectCall = Pin<Box<dyn Future<Output = Answer> + Send>>;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// A method of any messages whose request is one of them.
pub(super) trait DirectMethod: Send + Sync {
    fn call(&self, headers: HeaderMap, body: Incoming, peer: Option<Arc<Peer>>) -> DirectCall;
}

/// A unary method.
pub(super) struct Unary<Req, Res>(pub(super) Arc<Called<Req, Res>>);

impl<Req: Message, Res: Message> DirectMethod for Unary<Req, Res> {
    fn call(&self, headers: HeaderMap, body: Incoming, peer: Option<Arc<Peer>>) -> DirectCall {
        let called = Arc::clone(&self.0);
        if !is_encoded(&headers) {
            return Box::pin(run(called, headers, body, peer, one));
        }
        let id = request_id(&headers);
        let request = for_tonic(headers, body, peer);
        Box::pin(async move {
            let (mut grpc, called) = (called.grpc::<Req, Res>(), &called);
            let service = tower::service_fn(move |request: tonic::Request<Req>| async move {
                called.run(request).await.map(|(response, id)| answer_one(response, &id))
            });
            Answer::Made(as_usual(grpc.unary(service, request).await, &id))
        })
    }
}

/// A method whose answers are a stream.
pub(super) struct ServerStreaming<Req, Res>(pub(super) Arc<Called<Req, Streaming<Res>>>);

impl<Req: Message, Res: Message> DirectMethod for ServerStreaming<Req, Res> {
    fn call(&self, headers: HeaderMap, body: Incoming, peer: Option<Arc<Peer>>) -> DirectCall {
        let called = Arc::clone(&self.0);
        if !is_encoded(&headers) {
            return Box::pin(run(called, headers, body, peer, many));
        }
        let id = request_id(&headers);
        let request = for_tonic(headers, body, peer);
        Box::pin(async move {
            let (mut grpc, called) = (called.grpc::<Req, Res>(), &called);
            let service = tower::service_fn(move |request: tonic::Request<Req>| async move {
                called.run(request).await.map(|(response, id)| answer_stream(response, id))
            });
            Answer::Made(as_usual(grpc.server_streaming(service, request).await, &id))
        })
    }
}

/// Makes what is sent of an answer; compressed, if the caller takes that.
type ToAnswer<Res> = fn(Response<Res>, RequestId, Option<CompressionEncoding>) -> Answer;

async fn run<Req: Message, Res: Payload>(
    called: Arc<Called<Req, Res>>,
    headers: HeaderMap,
    body: Incoming,
    peer: Option<Arc<Peer>>,
    to_answer: ToAnswer<Res>,
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
    match answered.await {
        Ok(response) => to_answer(response, id, encoding),
        Err(error) => Answer::failed(&error, &id),
    }
}

fn one<Res: Message>(response: Response<Res>, id: RequestId, encoding: Option<CompressionEncoding>) -> Answer {
    let (metadata, message) = response.into_parts();
    if let Some(encoding) = encoding
        && prost::Message::encoded_len(&message) >= SMALLEST
    {
        let messages = futures_util::stream::iter([Ok(message)]);
        return Answer::Made(compressed(metadata, messages, &id, encoding));
    }
    match message::encode(&message) {
        Ok(bytes) => Answer::message(metadata, &id, bytes),
        Err(error) => Answer::failed(&error, &id),
    }
}

fn many<Res: Message>(
    response: Response<Streaming<Res>>,
    id: RequestId,
    encoding: Option<CompressionEncoding>,
) -> Answer {
    let (metadata, messages) = response.into_parts();
    let Some(encoding) = encoding else { return Answer::stream(metadata, id, messages) };
    let shared = id.clone();
    let messages = messages.map_err(move |error| to_tonic(error, &shared));
    Answer::Made(compressed(metadata, messages, &id, encoding))
}

/// A call whose request is compressed.
fn for_tonic(headers: HeaderMap, body: Incoming, peer: Option<Arc<Peer>>) -> http::Request<Incoming> {
    let mut request = http::Request::new(body);
    *request.headers_mut() = headers;
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    request
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
