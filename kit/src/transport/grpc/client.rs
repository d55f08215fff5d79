use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use http::{Extensions, uri::PathAndQuery};
use http_body::Frame;
use tokio::{sync::oneshot, time::timeout_at};
use tonic::{
    body::Body,
    client::Grpc,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Channel, Endpoint as Target},
};
use tonic_prost::ProstCodec;
use tower::Service;

use super::from_tonic;
use crate::{
    Connect, Context, Endpoint, Error, Message, Metadata, Method, Payload, Request, Response, Streaming,
    client::{ClientConfig, Until, expired},
    transport::{depart, failure::Failure, remove_transport_headers},
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A connection with calls on it is pinged so often: a peer that went away without a word is noticed in under a minute. Not
/// more often, because gRPC servers end connections that ping more than every five minutes without data, or 10 s with calls.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// gRPC's own default for the answer to a ping.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Calls services over gRPC. One HTTP/2 connection that is made when it is first needed, and again when it breaks.
#[derive(Clone)]
pub struct GrpcChannel {
    channel: Channel,
    limits: Limits,
}

/// What every call needs of the settings; the rest, keys among it, stays behind.
#[derive(Clone, Copy)]
struct Limits {
    max_response_size: usize,
    compress: bool,
}

impl GrpcChannel {
    /// A channel to a target, `http://host:port` or `https://host:port`, that the user wrote as `address`; nothing is
    /// connected yet.
    pub(crate) fn new(address: &str, target: &str, config: &ClientConfig) -> Result<Self, Error> {
        let wrong = |e: tonic::transport::Error| {
            Error::invalid_argument(format!("{address:?} is not an address to call")).with_source(e)
        };
        #[cfg(feature = "tls")]
        let secure = target.starts_with("https://");
        let target = Target::from_shared(target.to_owned())
            .map_err(wrong)?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        #[cfg(feature = "tls")]
        let target = match (&config.tls, secure) {
            (tls, true) => target.tls_config(tls.clone().unwrap_or_default().to_tonic()?).map_err(wrong)?,
            (_, false) => target,
        };
        let limits = Limits { max_response_size: config.max_response_size, compress: config.compress };
        Ok(Self { channel: target.connect_lazy(), limits })
    }

    fn endpoint<Req, Res, F>(&self, method: &Method, call: F) -> Endpoint<Req, Res>
    where
        Req: crate::Payload,
        Res: crate::Payload,
        F: Fn(Call, Request<Req>) -> BoxFuture<Result<Response<Res>, Error>> + Clone + Send + Sync + 'static,
    {
        let path = PathAndQuery::try_from(method.path.as_ref()).map_err(|_| {
            Error::internal("the name of the method can't be sent").with_log(method.path.to_string()).to_string()
        });
        let call_to = CallTo { channel: self.channel.clone(), limits: self.limits, path, call };
        Endpoint::new(method.clone(), call_to)
    }
}

impl fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcChannel").finish_non_exhaustive()
    }
}

/// One call that is about to be made.
struct Call {
    channel: Channel,
    limits: Limits,
    path: PathAndQuery,
}

impl Call {
    fn grpc(&self, broken: Option<Broken>) -> Grpc<Breakable> {
        let channel = Breakable { channel: self.channel.clone(), broken };
        let mut grpc = Grpc::new(channel).max_decoding_message_size(self.limits.max_response_size);
        for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
            grpc = grpc.accept_compressed(encoding);
        }
        if self.limits.compress {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        grpc
    }
}

#[derive(Clone)]
struct CallTo<F> {
    channel: Channel,
    limits: Limits,
    path: Result<PathAndQuery, String>,
    call: F,
}

impl<F, Req, Res> Service<Request<Req>> for CallTo<F>
where
    F: Fn(Call, Request<Req>) -> BoxFuture<Result<Response<Res>, Error>>,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = BoxFuture<Result<Response<Res>, Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        // Whether the connection can take the call is part of the call, so that its deadline covers it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let path = match &self.path {
            Ok(path) => path.clone(),
            Err(message) => return Box::pin(std::future::ready(Err(Error::internal(message.clone())))),
        };
        let deadline = request.context().deadline();
        let running = (self.call)(Call { channel: self.channel.clone(), limits: self.limits, path }, request);
        match deadline {
            // The peer has the deadline too; this is for a peer that no longer answers anything.
            Some(deadline) => Box::pin(async move {
                match timeout_at(deadline, running).await {
                    Ok(result) => result.map(|response| response.map(|answer| answer.map_stream(Until(deadline)))),
                    Err(_) => Err(expired()),
                }
            }),
            None => running,
        }
    }
}

fn request<M>(cx: &Context, message: M) -> tonic::Request<M> {
    tonic::Request::from_parts(MetadataMap::from_headers(depart(cx)), Extensions::new(), message)
}

fn response<M>(received: tonic::Response<M>) -> Response<M> {
    let (metadata, message, _) = received.into_parts();
    let mut headers = metadata.into_headers();
    remove_transport_headers(&mut headers);
    Response::new(message).with_metadata(Metadata::from_headers(headers))
}

fn incoming<M: Message>(received: Response<tonic::Streaming<M>>) -> Response<Streaming<M>> {
    received.map(|stream| Streaming::new(stream.map(|item| item.map_err(from_tonic))))
}

async fn ready(grpc: &mut Grpc<Breakable>) -> Result<(), Error> {
    let unreachable = |e| Error::unavailable("the service can't be reached now").with_source(e).unprocessed();
    grpc.ready().await.map_err(unreachable)
}

/// What is sent of a stream.
///
/// tonic's client streams have no errors: one that just ended would look complete to the service. So after an error the
/// stream stays open until [`Alive`] is dropped, which breaks it off.
fn outgoing<M: Message>(stream: Streaming<M>) -> (impl Stream<Item = M> + Send + 'static, Failure, (Alive, Broken)) {
    let (failed, failure) = Failure::new();
    let mut source = Some((stream, failed));
    let messages = futures_util::stream::poll_fn(move |cx| {
        let Some((stream, _)) = &mut source else { return Poll::Pending };
        match std::task::ready!(Pin::new(stream).poll_next(cx)) {
            Some(Ok(message)) => Poll::Ready(Some(message)),
            None => Poll::Ready(None),
            Some(Err(error)) => {
                if let Some((_, failed)) = source.take() {
                    // Nobody waits any more when the call is over, and then nobody needs the error.
                    let _ = failed.send(error);
                }
                Poll::Pending
            }
        }
    });
    (messages, failure, oneshot::channel())
}

/// Held by whoever is interested in a call.
type Alive = oneshot::Sender<Infallible>;
/// Done when nobody is any more.
type Broken = oneshot::Receiver<Infallible>;

/// Sends requests whose body is broken off when nobody is interested in the call any more.
///
/// hyper does not do it: once the answer has begun, a request body that waits for its next message keeps the call open.
struct Breakable {
    channel: Channel,
    broken: Option<Broken>,
}

impl Service<http::Request<Body>> for Breakable {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.channel.call(match self.broken.take() {
            Some(broken) => request.map(|inner| Body::new(BreakableBody { inner, broken })),
            None => request,
        })
    }
}

struct BreakableBody {
    inner: Body,
    broken: Broken,
}

impl http_body::Body for BreakableBody {
    type Data = Bytes;
    type Error = crate::error::Source;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if Pin::new(&mut self.broken).poll(cx).is_ready() {
            return Poll::Ready(Some(Err(h2::Error::from(h2::Reason::CANCEL).into())));
        }
        Pin::new(&mut self.inner).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

impl Connect for GrpcChannel {
    fn unary<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Res> {
        self.endpoint(method, |call, sent| {
            Box::pin(async move {
                let (cx, message) = sent.into_parts();
                let mut grpc = call.grpc(None);
                ready(&mut grpc).await?;
                let received = grpc.unary(request(&cx, message), call.path, ProstCodec::default()).await;
                received.map(response).map_err(from_tonic)
            })
        })
    }

    fn client_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Res> {
        self.endpoint(method, |call, sent| {
            Box::pin(async move {
                let (cx, stream) = sent.into_parts();
                let (messages, mut failure, (alive, broken)) = outgoing(stream);
                let mut grpc = call.grpc(Some(broken));
                let answered = async {
                    ready(&mut grpc).await?;
                    let sent = request(&cx, messages);
                    let received = grpc.client_streaming(sent, call.path.clone(), ProstCodec::default()).await;
                    received.map(response).map_err(from_tonic)
                };
                let received = failure.or(answered).await;
                drop(alive);
                received
            })
        })
    }

    fn server_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Streaming<Res>> {
        self.endpoint(method, |call, sent| {
            Box::pin(async move {
                let (cx, message) = sent.into_parts();
                let mut grpc = call.grpc(None);
                ready(&mut grpc).await?;
                let sent = request(&cx, message);
                let received = grpc.server_streaming(sent, call.path, ProstCodec::default()).await;
                received.map(|received| incoming(response(received))).map_err(from_tonic)
            })
        })
    }

    fn bidi_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Streaming<Res>> {
        self.endpoint(method, |call, sent| {
            Box::pin(async move {
                let (cx, stream) = sent.into_parts();
                let (messages, mut failure, (alive, broken)) = outgoing(stream);
                let mut grpc = call.grpc(Some(broken));
                let answered = async {
                    ready(&mut grpc).await?;
                    let sent = request(&cx, messages);
                    let received = grpc.streaming(sent, call.path.clone(), ProstCodec::default()).await;
                    received.map(|received| incoming(response(received))).map_err(from_tonic)
                };
                let received = failure.or(answered).await?;
                Ok(received.map(|answers| failure.ends(answers, alive)))
            })
        })
    }
}
