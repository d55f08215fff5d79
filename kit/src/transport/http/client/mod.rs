//! Calls services over HTTP/JSON.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout_at;
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

use self::request::Target;
use super::{
    Body,
    answer::{STATUS, as_raw},
};
use crate::{
    Code, Connect, Context, Endpoint, Error, Message, Metadata, Method, Payload, Request, Response, Streaming,
    client::{ClientConfig, Until, expired},
    error::Source,
    json,
    proto::google::rpc::Status,
    transport::{depart, failure::Failure, remove_transport_headers, status::from_status},
};

mod events;
mod request;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Sends requests; connections are made when they are needed and kept.
pub(crate) type Sender = BoxCloneSyncService<http::Request<Body>, http::Response<hyper::body::Incoming>, Source>;

/// Calls services over HTTP/JSON by the first rule of each method. Connections are made when they are needed and kept.
#[derive(Clone)]
pub struct HttpChannel {
    sender: Sender,
    base: Arc<str>,
    limit: usize,
}

impl HttpChannel {
    /// A channel to `http://host:port` or `https://host:port`; nothing is connected yet.
    pub(crate) fn new(address: &str, config: &ClientConfig) -> Result<Self, Error> {
        let wrong = || Error::invalid_argument(format!("{address:?} is not an address to call"));
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(wrong());
        }
        let sender = connect(&uri, config)?;
        Ok(Self { sender, base: address.trim_end_matches('/').into(), limit: config.max_response_size })
    }

    fn endpoint<Req, Res, F>(&self, method: &Method, call: F) -> Endpoint<Req, Res>
    where
        Req: Payload,
        Res: Payload,
        F: Fn(Call, Req) -> BoxFuture<Result<Response<Res>, Error>> + Clone + Send + Sync + 'static,
    {
        let call_to = CallTo { channel: self.clone(), target: Target::new(method).map(Arc::new), call };
        Endpoint::new(method.clone(), call_to)
    }
}

/// What sends to a URI of `http` or, with the feature `tls`, of `https`.
pub(crate) fn connect(uri: &Uri, config: &ClientConfig) -> Result<Sender, Error> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(config.connect_timeout));
    connector.set_nodelay(true);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new());
    #[cfg(feature = "tls")]
    let sender = if uri.scheme_str() == Some("https") {
        connector.enforce_http(false);
        let tls = config.tls.clone().unwrap_or_default().to_rustls()?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_all_versions()
            .wrap_connector(connector);
        BoxCloneSyncService::new(builder.build(connector).map_err(Source::from))
    } else {
        BoxCloneSyncService::new(builder.build(connector).map_err(Source::from))
    };
    #[cfg(not(feature = "tls"))]
    let sender = {
        // Without certificates there is one way to connect.
        let _ = uri;
        BoxCloneSyncService::new(builder.build(connector).map_err(Source::from))
    };
    Ok(sender)
}

impl fmt::Debug for HttpChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpChannel").field("base", &self.base).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct CallTo<F> {
    channel: HttpChannel,
    target: Result<Arc<Target>, String>,
    call: F,
}

/// One call that is about to be made.
struct Call {
    channel: HttpChannel,
    target: Arc<Target>,
    cx: Context,
}

impl<F, Req, Res> Service<Request<Req>> for CallTo<F>
where
    F: Fn(Call, Req) -> BoxFuture<Result<Response<Res>, Error>>,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = BoxFuture<Result<Response<Res>, Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let target = match &self.target {
            Ok(target) => Arc::clone(target),
            Err(message) => return Box::pin(std::future::ready(Err(Error::unimplemented(message.clone())))),
        };
        let (cx, message) = request.into_parts();
        let deadline = cx.deadline();
        let running = (self.call)(Call { channel: self.channel.clone(), target, cx }, message);
        match deadline {
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

impl Call {
    async fn send(
        &self,
        path: &str,
        body: Body,
        content_type: Option<&str>,
        accept: &'static str,
    ) -> Result<http::Response<hyper::body::Incoming>, Error> {
        let unsendable = |e: http::Error| Error::invalid_argument("the call can't be written as HTTP").with_source(e);
        let uri = format!("{}{path}", self.channel.base);
        let mut request =
            http::Request::builder().method(self.target.method.clone()).uri(uri).body(body).map_err(unsendable)?;
        *request.headers_mut() = depart(&self.cx);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        if let Some(content_type) = content_type.and_then(|text| HeaderValue::from_str(text).ok()) {
            request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        let response = self.channel.sender.clone().oneshot(request).await;
        response.map_err(|e| {
            // Without a connection nothing was sent.
            let unprocessed = e.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|e| e.is_connect());
            let error = Error::unavailable("the service can't be reached now").with_source(e);
            if unprocessed { error.unprocessed() } else { error }
        })
    }

    /// Headers and content of a good answer; the error of any other.
    async fn receive(
        &self,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<(Metadata, String, Bytes), Error> {
        let (parts, body) = response.into_parts();
        let content = Limited::new(body, self.channel.limit).collect().await.map_err(|e| {
            if e.is::<http_body_util::LengthLimitError>() {
                let limit = self.channel.limit;
                Error::resource_exhausted(format!("the answer is larger than the {limit} bytes that are taken"))
            } else {
                Error::unavailable("the answer broke off").with_source(e)
            }
        })?;
        let content = content.to_bytes();
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let content_type = content_type.to_owned();
        let mut headers = parts.headers;
        remove_transport_headers(&mut headers);
        let metadata = Metadata::from_headers(headers);
        if parts.status.is_success() {
            return Ok((metadata, content_type, content));
        }
        Err(error_of(parts.status, &content).with_received_metadata(metadata))
    }

    async fn one<Res: Message>(&self, response: http::Response<hyper::body::Incoming>) -> Result<Response<Res>, Error> {
        let (metadata, content_type, content) = self.receive(response).await?;
        let message = self.target.read_answer(content_type, &content)?;
        Ok(Response::new(message).with_metadata(metadata))
    }

    async fn many<Res: Message>(
        self,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Response<Streaming<Res>>, Error> {
        if !response.status().is_success() {
            self.receive(response).await?;
            return Err(Error::internal("the service answered a stream without one"));
        }
        let (parts, body) = response.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let events = content_type.starts_with("text/event-stream");
        let content_type = content_type.to_owned();
        let mut headers = parts.headers;
        remove_transport_headers(&mut headers);
        let target = Arc::clone(&self.target);
        let broken = |e: hyper::Error| Error::unavailable("the stream broke off").with_source(e);
        let stream = if events {
            let events = events::Events::new(
                body.into_data_stream().map(move |chunk| chunk.map_err(broken)),
                self.channel.limit,
            );
            Streaming::new(events.map(move |event| {
                event.and_then(|event| match event.error {
                    false => target.read_answer(String::new(), &event.data),
                    true => Err(stream_error(&event.data)),
                })
            }))
        } else {
            // Not events although they were asked for: raw bytes of `google.api.HttpBody`.
            let mut content_type = Some(content_type);
            Streaming::new(body.into_data_stream().map(move |chunk| {
                let chunk = chunk.map_err(broken)?;
                target.read_answer(content_type.take().unwrap_or_default(), &chunk)
            }))
        };
        Ok(Response::new(stream).with_metadata(Metadata::from_headers(headers)))
    }
}

/// The error in the answer, or what its status says when it has none.
fn error_of(status: StatusCode, content: &[u8]) -> Error {
    let read = json::from_slice::<Status>(content, &STATUS).ok();
    // Details of types that are not known here must not hide the rest.
    let read = read.or_else(|| {
        let mut tree: serde_json::Value = serde_json::from_slice(content).ok()?;
        tree.as_object_mut()?.remove("details");
        json::from_value(tree, &json::Options::default()).ok()
    });
    match read.filter(|status| status.code != 0) {
        Some(status) => from_status(status),
        None => Error::new(Code::from_http_status(status.as_u16()), format!("the service answered HTTP {status}")),
    }
}

fn stream_error(data: &[u8]) -> Error {
    let tree: Option<serde_json::Value> = serde_json::from_slice(data).ok();
    let status = tree.and_then(|mut tree| Some(tree.get_mut("error")?.take()));
    match status {
        Some(status) => error_of(StatusCode::INTERNAL_SERVER_ERROR, status.to_string().as_bytes()),
        None => Error::internal("the stream ended with an error that can't be read"),
    }
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// A stream as a body. The error that it ends with breaks the body off, so that the service does not take it for complete.
fn lines<Req: Message>(messages: Streaming<Req>) -> (Body, Failure) {
    // Defaults need not travel, and every JSON reader of protobuf knows them.
    let options = json::Options { omit_defaults: true, ..json::Options::default() };
    let (failed, failure) = Failure::new();
    let mut failed = Some(failed);
    let body = Body::from_stream(messages.map(move |message| {
        let line = message.and_then(|message| match as_raw(&message) {
            Some(raw) => Ok(Bytes::from(raw.data.clone())),
            None => json::to_vec(&message, &options).map(|mut line| {
                line.push(b'\n');
                Bytes::from(line)
            }),
        });
        line.map_err(|error| {
            if let Some(failed) = failed.take() {
                // Nobody waits any more when the call is over, and then nobody needs the error.
                let _ = failed.send(error);
            }
            Error::aborted("the stream of requests failed")
        })
    }));
    (body, failure)
}

impl Connect for HttpChannel {
    fn unary<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Res> {
        self.endpoint(method, |call, message: Req| {
            Box::pin(async move {
                let sent = call.target.write(&message)?;
                let response = call.send(&sent.path, sent.body, sent.content_type.as_deref(), JSON).await?;
                call.one(response).await
            })
        })
    }

    fn server_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Streaming<Res>> {
        self.endpoint(method, |call, message: Req| {
            Box::pin(async move {
                let sent = call.target.write(&message)?;
                let response = call.send(&sent.path, sent.body, sent.content_type.as_deref(), EVENTS).await?;
                call.many(response).await
            })
        })
    }

    fn client_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Res> {
        self.endpoint(method, |call, messages: Streaming<Req>| {
            Box::pin(async move {
                let path = call.target.path_without_variables()?;
                let (content_type, messages) = content_type(messages).await;
                let (body, mut failure) = lines(messages);
                let answered = async {
                    let response = call.send(&path, body, Some(&content_type), JSON).await?;
                    call.one(response).await
                };
                failure.or(answered).await
            })
        })
    }

    fn bidi_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Streaming<Res>> {
        self.endpoint(method, |call, messages: Streaming<Req>| {
            Box::pin(async move {
                let path = call.target.path_without_variables()?;
                let (content_type, messages) = content_type(messages).await;
                let (body, mut failure) = lines(messages);
                let answered = async {
                    let response = call.send(&path, body, Some(&content_type), EVENTS).await?;
                    call.many(response).await
                };
                let answered = failure.or(answered).await?;
                Ok(answered.map(|answers| failure.ends(answers, ())))
            })
        })
    }
}

/// The content type of a stream: lines, or the one that the first of raw messages has.
async fn content_type<Req: Message>(mut messages: Streaming<Req>) -> (String, Streaming<Req>) {
    if as_raw(&Req::default()).is_none() {
        return ("application/x-ndjson".to_owned(), messages);
    }
    let first = messages.next().await;
    let raw = first.as_ref().and_then(|item| item.as_ref().ok()).and_then(as_raw);
    let content_type = raw.map(|raw| raw.content_type.clone()).unwrap_or_default();
    (content_type, Streaming::new(futures_util::stream::iter(first).chain(messages)))
}
