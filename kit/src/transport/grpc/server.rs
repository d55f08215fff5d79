use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tonic::{
    body::Body,
    codec::{Codec as _, CompressionEncoding, EncodeBody},
    metadata::MetadataMap,
    server::{Grpc, NamedService},
};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

use super::{
    arrive::arrive,
    broken::Broken,
    codec::ProstCodec,
    direct::{DirectMethod, Incoming, ServerStreaming, Unary},
    to_tonic, too_large,
};
use crate::{
    Endpoint, Endpoints, Error, Message, Metadata, Payload, Peer, Request, RequestId, Response, Streaming,
    VisitEndpoints,
    endpoint::MapStream,
    transport::{MAX_MESSAGE_SIZE, answer_headers, request_id},
    validate::{Validate, Violations},
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type MountedService = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// The settings of the gRPC transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// The largest request message in bytes, after decompression. Default: 4 MiB, as gRPC has it.
    pub max_request_size: usize,
    /// The largest answer message in bytes. Default: no limit of ours; the caller has one.
    pub max_response_size: Option<usize>,
    /// Whether gzip and zstd are taken from callers and used towards those that take them. Default: true.
    pub compression: bool,
    /// How long the message of a request may take to arrive, where there is one; between those of a stream the idle limit of the method
    /// counts. Default: 30 s, as for the bodies of HTTP.
    #[serde(with = "crate::duration")]
    pub body_timeout: Duration,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            max_request_size: MAX_MESSAGE_SIZE,
            max_response_size: None,
            compression: true,
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Validate for GrpcConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.max_request_size > 0, "max_request_size", "is 0: no message fits");
        report.require(self.max_response_size != Some(0), "max_response_size", "is 0: no message fits");
        report.require(!self.body_timeout.is_zero(), "body_timeout", "is 0, in which no message can arrive");
    }
}

/// The gRPC side of services: a Tower service over HTTP requests.
///
/// Cheap to clone. [`Server`](crate::server::Server) makes and serves it; alone it fits wherever hyper serves HTTP/2.
#[derive(Clone, Default)]
pub struct GrpcService {
    config: Arc<GrpcConfig>,
    methods: Arc<HashMap<String, AnyMethod>>,
    mounted: Arc<Vec<(&'static str, MountedService)>>,
}

impl GrpcService {
    /// A transport without services.
    pub fn new(config: GrpcConfig) -> Self {
        Self { config: Arc::new(config), ..Self::default() }
    }

    /// Adds the methods of a service.
    #[must_use]
    pub fn service<E: Endpoints>(mut self, endpoints: &E) -> Self {
        let mut collector = Collector { config: Arc::clone(&self.config), methods: HashMap::new() };
        endpoints.visit(&mut collector);
        Arc::make_mut(&mut self.methods).extend(collector.methods);
        self
    }

    /// Adds a service that tonic generated, such as health or reflection.
    #[must_use]
    pub fn mount<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Arc::make_mut(&mut self.mounted).push((S::NAME, BoxCloneSyncService::new(service)));
        self
    }

    /// Starts a call whose request is one message, from a stream of HTTP/2; gives back what is anything else.
    #[cfg(feature = "server")]
    #[expect(clippy::result_large_err, reason = "it is no error: what is given back is answered in another way")]
    pub(crate) fn direct(
        &self,
        request: http::Request<h2::RecvStream>,
        peer: &Arc<Peer>,
    ) -> Result<super::DirectCall, http::Request<h2::RecvStream>> {
        match self.methods.get(request.uri().path()) {
            Some(AnyMethod::Direct(method)) if is_grpc(&request) => {
                let (parts, stream) = request.into_parts();
                let body = Incoming::stream(&parts.headers, stream, self.config.body_timeout);
                Ok(method.call(parts.headers, body, Some(Arc::clone(peer))))
            }
            _ => Err(request),
        }
    }

    fn mounted(&self, path: &str) -> Option<MountedService> {
        let service = path.strip_prefix('/')?.split('/').next()?;
        self.mounted.iter().find(|(name, _)| *name == service).map(|(_, service)| service.clone())
    }
}

impl std::fmt::Debug for GrpcService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcService").field("methods", &self.methods.keys()).finish_non_exhaustive()
    }
}

impl Service<http::Request<Body>> for GrpcService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if let Some(refusal) = refuse(&request) {
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        match self.methods.get(request.uri().path()) {
            Some(AnyMethod::Direct(method)) => {
                let (parts, body) = request.into_parts();
                let body = Incoming::body(body, self.config.body_timeout);
                let call = method.call(parts.headers, body, parts.extensions.get().cloned());
                return Box::pin(async move { Ok(call.await.into_http()) });
            }
            Some(AnyMethod::Streaming(method)) => {
                let call = method.call(request);
                return Box::pin(async move { Ok(call.await) });
            }
            None => {}
        }
        if let Some(mounted) = self.mounted(request.uri().path()) {
            return Box::pin(mounted.oneshot(request));
        }
        let missing = tonic::Status::unimplemented(format!(
            "there is no method {}",
            crate::json::scalar::shorten(request.uri().path())
        ));
        let mut answer: http::Response<Body> = missing.into_http();
        let id = answer_headers(Metadata::new(), &request_id(request.headers()));
        answer.headers_mut().extend(id);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// For a person who called the wrong port.
const NOT_GRPC: &str = r#"{"code":12,"message":"this port speaks gRPC: HTTP/JSON is on another one","details":[]}"#;

/// What is no gRPC is refused before anything runs: a browser lets a page of any origin send other content types without
/// asking first.
fn refuse(request: &http::Request<Body>) -> Option<http::Response<Body>> {
    if is_grpc(request) {
        return None;
    }
    let status = if request.method() != http::Method::POST {
        http::StatusCode::METHOD_NOT_ALLOWED
    } else {
        http::StatusCode::UNSUPPORTED_MEDIA_TYPE
    };
    let mut refusal = http::Response::new(Body::new(http_body_util::Full::from(NOT_GRPC)));
    refusal.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    *refusal.status_mut() = status;
    Some(refusal)
}

fn is_grpc<B>(request: &http::Request<B>) -> bool {
    let content_type = request.headers().get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let grpc = content_type
        .and_then(|text| text.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"));
    grpc && request.method() == http::Method::POST
}

/// A method, by what its request is.
#[derive(Clone)]
enum AnyMethod {
    Direct(Arc<dyn DirectMethod>),
    Streaming(Arc<dyn GrpcMethod>),
}

trait GrpcMethod: Send + Sync {
    fn call(&self, request: http::Request<Body>) -> BoxFuture<http::Response<Body>>;
}

struct Collector {
    config: Arc<GrpcConfig>,
    methods: HashMap<String, AnyMethod>,
}

impl Collector {
    fn add<Req, Res>(&mut self, endpoint: &Endpoint<Req, Res>, kind: impl FnOnce(Called<Req, Res>) -> AnyMethod)
    where
        Req: Payload,
        Res: Payload,
    {
        let called = Called { endpoint: endpoint.clone(), config: Arc::clone(&self.config) };
        self.methods.insert(endpoint.method().path.to_string(), kind(called));
    }
}

impl VisitEndpoints for Collector {
    fn unary<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Res>) {
        self.add(endpoint, |called| AnyMethod::Direct(Arc::new(Unary(Arc::new(called)))));
    }
    fn client_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Res>) {
        self.add(endpoint, |called| AnyMethod::Streaming(Arc::new(ClientStreaming(Arc::new(called)))));
    }
    fn server_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Streaming<Res>>) {
        self.add(endpoint, |called| AnyMethod::Direct(Arc::new(ServerStreaming(Arc::new(called)))));
    }
    fn bidi_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Streaming<Res>>) {
        self.add(endpoint, |called| AnyMethod::Streaming(Arc::new(BidiStreaming(Arc::new(called)))));
    }
}

/// An endpoint as tonic calls it.
pub(super) struct Called<Req, Res> {
    pub(super) endpoint: Endpoint<Req, Res>,
    pub(super) config: Arc<GrpcConfig>,
}

impl<Req: Payload, Res: Payload> Called<Req, Res> {
    pub(super) fn grpc<M: Message, N: Message>(&self) -> Grpc<ProstCodec<N, M>> {
        let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(self.config.max_request_size);
        if self.config.compression {
            for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
                grpc = grpc.accept_compressed(encoding).send_compressed(encoding);
            }
        }
        grpc
    }

    pub(super) async fn run(&self, request: tonic::Request<Req>) -> Result<(Response<Res>, RequestId), tonic::Status> {
        let (metadata, extensions, message) = request.into_parts();
        let headers = metadata.into_headers();
        let parts: &http::Extensions = &extensions;
        let peer = parts.get::<Arc<Peer>>().cloned();
        let request_id = request_id(&headers);
        let answered = match arrive(self.endpoint.method(), headers, peer, &request_id) {
            Ok(context) => self.endpoint.call(Request::new(context, message)).await,
            Err(error) => Err(error),
        };
        match answered.and_then(|response| self.limited(response)) {
            Ok(response) => Ok((response, request_id)),
            Err(error) => Err(to_tonic(error, &request_id)),
        }
    }

    /// tonic has a limit too, but another code for it than the rest of the world.
    pub(super) fn limited(&self, response: Response<Res>) -> Result<Response<Res>, Error> {
        let Some(limit) = self.config.max_response_size else { return Ok(response) };
        check_size(response.message().encoded_len(), limit)?;
        Ok(response.map(|payload| payload.map_stream(AtMost(limit))))
    }
}

fn check_size(size: usize, limit: usize) -> Result<(), Error> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::resource_exhausted(format!("the answer has {size} bytes, the limit is {limit} bytes")))
}

/// Ends a stream that has a message over the limit.
struct AtMost(usize);

impl MapStream for AtMost {
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M> {
        stream.and_then(move |message| check_size(message.encoded_len(), self.0).map(|()| message))
    }
}

/// Gives a refusal of tonic's what all answers have: its usual code, where a message is over the limit, and the id of the request.
pub(super) fn as_usual(mut response: http::Response<Body>, id: &RequestId) -> http::Response<Body> {
    let Some(status) = tonic::Status::from_header_map(response.headers()) else { return response };
    if let Some(message) = too_large(status.message())
        && status.code() == tonic::Code::OutOfRange
    {
        response = tonic::Status::resource_exhausted(message).into_http();
    }
    if let (http::header::Entry::Vacant(place), Ok(id)) =
        (response.headers_mut().entry(RequestId::HEADER), http::HeaderValue::from_str(id.as_str()))
    {
        place.insert(id);
    }
    response
}

fn answer<M>(response: Response<M>, request_id: &RequestId) -> tonic::Response<M> {
    let (metadata, message) = response.into_parts();
    let headers = answer_headers(metadata, request_id);
    tonic::Response::from_parts(MetadataMap::from_headers(headers), message, http::Extensions::new())
}

/// The smallest answer that is compressed: below about 1 kB it costs more time than it saves.
pub(super) const SMALLEST: usize = 1024;

pub(super) fn answer_one<M: Message>(response: Response<M>, request_id: &RequestId) -> tonic::Response<M> {
    let small = prost::Message::encoded_len(response.message()) < SMALLEST;
    let mut answer = answer(response, request_id);
    if small {
        answer.disable_compression();
    }
    answer
}

/// An answer that is compressed, by tonic.
pub(super) fn compressed<M: Message>(
    metadata: Metadata,
    messages: impl Stream<Item = Result<M, tonic::Status>> + Send + 'static,
    request_id: &RequestId,
    encoding: CompressionEncoding,
) -> http::Response<Body> {
    let encoder = ProstCodec::<M, M>::default().encoder();
    let body = EncodeBody::new_server(encoder, messages, Some(encoding), Default::default(), None);
    let mut answer = http::Response::new(Body::new(body));
    *answer.headers_mut() = answer_headers(metadata, request_id);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    let name = if encoding == CompressionEncoding::Zstd { "zstd" } else { "gzip" };
    answer.headers_mut().insert("grpc-encoding", http::HeaderValue::from_static(name));
    answer
}

type TonicStream<M> = Pin<Box<dyn Stream<Item = Result<M, tonic::Status>> + Send>>;

pub(super) fn answer_stream<M: Message>(
    response: Response<Streaming<M>>,
    id: RequestId,
) -> tonic::Response<TonicStream<M>> {
    let shared = id.clone();
    answer(response, &id).map(|stream| Box::pin(stream.map_err(move |e| to_tonic(e, &shared))) as TonicStream<M>)
}

struct ClientStreaming<Req, Res>(Arc<Called<Streaming<Req>, Res>>);

impl<Req: Message, Res: Message> GrpcMethod for ClientStreaming<Req, Res> {
    fn call(&self, request: http::Request<Body>) -> BoxFuture<http::Response<Body>> {
        let called = Arc::clone(&self.0);
        Box::pin(async move {
            let mut grpc = called.grpc::<Req, Res>();
            let called = &called;
            let broken = &Broken::default();
            let request = broken.watch(request);
            let service = tower::service_fn(move |request: tonic::Request<tonic::Streaming<Req>>| async move {
                called
                    .run(request.map(|messages| broken.clone().stream(messages)))
                    .await
                    .map(|(response, id)| answer_one(response, &id))
            });
            grpc.client_streaming(service, request).await
        })
    }
}

struct BidiStreaming<Req, Res>(Arc<Called<Streaming<Req>, Streaming<Res>>>);

impl<Req: Message, Res: Message> GrpcMethod for BidiStreaming<Req, Res> {
    fn call(&self, request: http::Request<Body>) -> BoxFuture<http::Response<Body>> {
        let called = Arc::clone(&self.0);
        Box::pin(async move {
            let mut grpc = called.grpc::<Req, Res>();
            let called = &called;
            let broken = &Broken::default();
            let request = broken.watch(request);
            let service = tower::service_fn(move |request: tonic::Request<tonic::Streaming<Req>>| async move {
                called
                    .run(request.map(|messages| broken.clone().stream(messages)))
                    .await
                    .map(|(response, id)| answer_stream(response, id))
            });
            grpc.streaming(service, request).await
        })
    }
}
