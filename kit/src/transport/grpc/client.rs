use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use futures_core::Stream;
use futures_util::StreamExt as _;
use http::{Extensions, uri::PathAndQuery};
use tokio::{sync::oneshot, time::timeout_at};
use tonic::{
    client::Grpc,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Channel, Endpoint as Target},
};
use tonic_prost::ProstCodec;
use tower::Service;

use super::from_tonic;
use crate::{
    Connect, Context, Endpoint, Error, Message, Metadata, Method, Request, Response, Streaming,
    client::ClientConfig,
    transport::{depart, remove_transport_headers},
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Calls services over gRPC. One HTTP/2 connection that is made when it is first needed, and again when it breaks.
#[derive(Clone)]
pub struct GrpcChannel {
    channel: Channel,
    config: ClientConfig,
}

impl GrpcChannel {
    /// A channel to `http://host:port` or `https://host:port`; nothing is connected yet.
    pub(crate) fn new(address: &str, config: &ClientConfig) -> Result<Self, Error> {
        let wrong = |e: tonic::transport::Error| {
            Error::invalid_argument(format!("{address:?} is not an address to call")).with_source(e)
        };
        let target = Target::from_shared(address.to_owned())
            .map_err(wrong)?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true);
        #[cfg(feature = "tls")]
        let target = match (&config.tls, address.starts_with("https://")) {
            (tls, true) => target.tls_config(tls.clone().unwrap_or_default().to_tonic()?).map_err(wrong)?,
            (_, false) => target,
        };
        Ok(Self { channel: target.connect_lazy(), config: config.clone() })
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
        let call_to = CallTo { channel: self.channel.clone(), config: self.config.clone(), path, call };
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
    grpc: Grpc<Channel>,
    path: PathAndQuery,
}

#[derive(Clone)]
struct CallTo<F> {
    channel: Channel,
    config: ClientConfig,
    path: Result<PathAndQuery, String>,
    call: F,
}

impl<F, Req, Res> Service<Request<Req>> for CallTo<F>
where
    F: Fn(Call, Request<Req>) -> BoxFuture<Result<Response<Res>, Error>>,
    Res: Send + 'static,
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
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(self.config.max_response_size);
        for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
            grpc = grpc.accept_compressed(encoding);
        }
        if self.config.compress {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        let deadline = request.context().deadline();
        let running = (self.call)(Call { grpc, path }, request);
        match deadline {
            // The peer has the deadline too; this is for a peer that no longer answers anything.
            Some(deadline) => Box::pin(async move {
                match timeout_at(deadline, running).await {
                    Ok(result) => result,
                    Err(_) => {
                        Err(Error::deadline_exceeded("the deadline of the call passed before the service answered"))
                    }
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

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Error> {
    grpc.ready().await.map_err(|e| Error::unavailable("the service can't be reached now").with_source(e))
}

/// What is sent of a stream, and the error that it ended with.
///
/// tonic's client streams have no errors: one that just ended would look complete to the service. So after an error the
/// stream stays open, and whoever awaits the error drops the call, which the service sees as cancelled.
fn outgoing<M: Message>(stream: Streaming<M>) -> (impl Stream<Item = M> + Send + 'static, oneshot::Receiver<Error>) {
    let (failed, failure) = oneshot::channel();
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
    (messages, failure)
}

async fn unless<T>(
    failure: oneshot::Receiver<Error>,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let failed = async {
        match failure.await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        error = failed => Err(error),
        result = call => result,
    }
}

impl Connect for GrpcChannel {
    fn unary<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Res> {
        self.endpoint(method, |mut call, sent| {
            Box::pin(async move {
                let (cx, message) = sent.into_parts();
                ready(&mut call.grpc).await?;
                let received = call.grpc.unary(request(&cx, message), call.path, ProstCodec::default()).await;
                received.map(response).map_err(from_tonic)
            })
        })
    }

    fn client_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Res> {
        self.endpoint(method, |mut call, sent| {
            Box::pin(async move {
                let (cx, stream) = sent.into_parts();
                let (messages, failure) = outgoing(stream);
                unless(failure, async move {
                    ready(&mut call.grpc).await?;
                    let sent = request(&cx, messages);
                    let received = call.grpc.client_streaming(sent, call.path, ProstCodec::default()).await;
                    received.map(response).map_err(from_tonic)
                })
                .await
            })
        })
    }

    fn server_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Streaming<Res>> {
        self.endpoint(method, |mut call, sent| {
            Box::pin(async move {
                let (cx, message) = sent.into_parts();
                ready(&mut call.grpc).await?;
                let sent = request(&cx, message);
                let received = call.grpc.server_streaming(sent, call.path, ProstCodec::default()).await;
                received.map(|received| incoming(response(received))).map_err(from_tonic)
            })
        })
    }

    fn bidi_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Streaming<Res>> {
        self.endpoint(method, |mut call, sent| {
            Box::pin(async move {
                let (cx, stream) = sent.into_parts();
                let (messages, mut failure) = outgoing(stream);
                ready(&mut call.grpc).await?;
                let sent = request(&cx, messages);
                let received = call.grpc.streaming(sent, call.path, ProstCodec::default()).await;
                let received = received.map(|received| incoming(response(received))).map_err(from_tonic)?;
                // The sending side may fail long after the answer has begun: the answer then ends with that error.
                Ok(received.map(|mut stream| {
                    Streaming::new(futures_util::stream::poll_fn(move |cx| {
                        if let Poll::Ready(Ok(error)) = Pin::new(&mut failure).poll(cx) {
                            return Poll::Ready(Some(Err(error)));
                        }
                        Pin::new(&mut stream).poll_next(cx)
                    }))
                }))
            })
        })
    }
}
