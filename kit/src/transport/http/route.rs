//! One rule of one method: from an HTTP request to its answer.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use http::{HeaderMap, StatusCode, header};
use kit_template::Variable;
use pin_project_lite::pin_project;

use super::{
    HttpConfig,
    accept::StreamFormat,
    answer::{Refusal, as_raw, unary},
    arrive::arrive,
    bind::Binding,
    bodies::{AnswerBody, RequestBody},
    body::{self, Limits},
    stream::{self, Writing},
};
use crate::{
    Context, Endpoint, Error, HttpRule, Message, Payload, Peer, Request, RequestId, Response, RuleBody, Streaming,
    endpoint::CallFuture, json, message::bind, transport::request_id,
};

/// What the router finds.
pub(super) trait Route: Send + Sync {
    /// Answers a request.
    fn call(&self, arrived: Arrived<'_>) -> Outcome;
}

/// A request that has found its rule.
pub(super) struct Arrived<'a> {
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
    pub(super) peer: Option<Arc<Peer>>,
    pub(super) query: &'a str,
    /// Those of the path, in the order of the template.
    pub(super) variables: Vec<(&'a Variable, Cow<'a, str>)>,
}

/// An answer, or what will give it.
pub(super) enum Outcome {
    /// It is there; `None` when it was taken.
    Ready(Option<http::Response<AnswerBody>>),
    Later(Pin<Box<dyn Future<Output = http::Response<AnswerBody>> + Send>>),
}

impl Outcome {
    pub(super) fn later(answer: impl Future<Output = http::Response<AnswerBody>> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }

    fn refused(refusal: impl Into<Refusal>, request_id: &RequestId) -> Self {
        Self::Ready(Some(refusal.into().answer(request_id)))
    }
}

impl Future for Outcome {
    type Output = http::Response<AnswerBody>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Ready(response) => response.take().map_or(Poll::Pending, Poll::Ready),
            Self::Later(answer) => answer.as_mut().poll(task),
        }
    }
}

/// A rule and its endpoint.
pub(super) struct Rule<Req, Res> {
    endpoint: Endpoint<Req, Res>,
    binding: Binding,
    rule: HttpRule,
    json: json::Options,
    compression: bool,
    limits: Limits,
}

impl<Req: Payload, Res: Payload> Rule<Req, Res> {
    pub(super) fn new(
        endpoint: &Endpoint<Req, Res>,
        rule: &HttpRule,
        variables: Vec<String>,
        config: &HttpConfig,
        registry: &json::Registry,
    ) -> Self {
        Self {
            endpoint: endpoint.clone(),
            binding: Binding::new(rule, variables, config),
            rule: rule.clone(),
            json: config.json(registry),
            compression: config.compression,
            limits: Limits { size: config.max_request_size, time: config.body_timeout },
        }
    }

    /// The context of a request.
    fn begin(&self, headers: HeaderMap, peer: Option<Arc<Peer>>, request_id: &RequestId) -> Result<Context, Refusal> {
        arrive(self.endpoint.method(), headers, peer, request_id, |headers| self.refuse_encoding(headers))
    }

    /// A body that was compressed in a way that is taken here has been unpacked before, and its header is gone.
    fn refuse_encoding(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
        if encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Ok(());
        }
        let taken = if self.compression { "send it as gzip or as it is" } else { "send it as it is" };
        let shown = String::from_utf8_lossy(encoding.as_bytes());
        let shown = json::scalar::shorten(&shown);
        let message = format!("a body with the content encoding {shown:?} is not taken here: {taken}");
        Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Error::invalid_argument(message)))
    }

    fn writing(&self, format: StreamFormat) -> Writing {
        let response_body = self.rule.response_body.as_ref().map(ToString::to_string);
        Writing { format, response_body, options: self.json.clone() }
    }
}

/// The form that a stream of answers gets; `None` when the caller takes none of those there are.
fn stream_format<M: Message>(headers: &HeaderMap) -> Option<StreamFormat> {
    if as_raw(&M::default()).is_some() {
        // The bytes have a type of their own.
        return Some(StreamFormat::Lines);
    }
    StreamFormat::of(headers)
}

fn not_acceptable() -> Refusal {
    let message = "a stream comes as application/x-ndjson, text/event-stream or application/json: accept one of them";
    Refusal::new(StatusCode::NOT_ACCEPTABLE, Error::invalid_argument(message))
}

/// What a message is made of, where that can't be done at once: kept until the body is there.
struct Unread {
    body: RequestBody,
    content_type: String,
    query: String,
    variables: Vec<String>,
}

impl Unread {
    fn new(content_type: String, body: RequestBody, query: &str, variables: Vec<(&Variable, Cow<'_, str>)>) -> Self {
        let variables = variables.into_iter().map(|(_, value)| value.into_owned()).collect();
        Self { body, content_type, query: query.to_owned(), variables }
    }
}

impl<Req: Message, Res: Payload> Rule<Req, Res> {
    /// The message of a request whose body has no part in it.
    fn without_body(&self, query: &str, variables: &[(&Variable, Cow<'_, str>)]) -> Result<Req, Error> {
        let mut message = Req::default();
        self.binding.bind_query(&mut message, query)?;
        self.binding.bind_path(&mut message, variables.iter().map(|(_, value)| value.as_ref()))?;
        Ok(message)
    }

    async fn read(&self, unread: Unread) -> Result<Req, Refusal> {
        let Unread { body, content_type, query, variables } = unread;
        let mut message = Req::default();
        match &self.rule.body {
            RuleBody::None => {
                self.binding.bind_query(&mut message, &query)?;
            }
            RuleBody::All => {
                let received = body::read(content_type, body, self.limits).await?;
                self.binding.bind_query(&mut message, &query)?;
                message = body::whole(received, &self.json)?;
            }
            RuleBody::Field(name) => {
                let received = body::read(content_type, body, self.limits).await?;
                let set = self.binding.bind_query(&mut message, &query)?;
                let mask = self.rule.field_mask.as_deref().filter(|mask| !set.has(mask));
                let paths = body::field(&mut message, name, received, &self.json, mask.is_some())?;
                if let Some(mask) = mask.filter(|_| !paths.is_empty()) {
                    bind(&mut message, mask, &paths.join(",")).map_err(|e| {
                        Error::internal("the service has a broken HTTP rule")
                            .with_log(format!("field mask {mask}: {e}"))
                    })?;
                }
            }
        }
        self.binding.bind_path(&mut message, variables.iter().map(String::as_str))?;
        Ok(message)
    }
}

impl<Req: Payload, Res: Message> Rule<Req, Res> {
    /// The answer of an endpoint that answers once.
    fn unary(
        &self,
        result: Result<Response<Res>, Error>,
        request_id: &RequestId,
    ) -> Result<http::Response<AnswerBody>, Refusal> {
        let response = result.map_err(Refusal::answered)?;
        Ok(unary(response, self.rule.response_body.as_deref(), &self.json, request_id)?)
    }
}

pub(super) struct Unary<Req, Res>(pub(super) Arc<Rule<Req, Res>>);
pub(super) struct ServerStreaming<Req, Res>(pub(super) Arc<Rule<Req, Streaming<Res>>>);
pub(super) struct ClientStreaming<Req, Res>(pub(super) Arc<Rule<Streaming<Req>, Res>>);
pub(super) struct BidiStreaming<Req, Res>(pub(super) Arc<Rule<Streaming<Req>, Streaming<Res>>>);

pin_project! {
    /// The answer of a unary call that was made.
    struct Called<Req, Res> {
        rule: Arc<Rule<Req, Res>>,
        request_id: RequestId,
        #[pin]
        call: CallFuture<Res>,
    }
}

impl<Req: Message, Res: Message> Future for Called<Req, Res> {
    type Output = http::Response<AnswerBody>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(task));
        let answer = this.rule.unary(result, this.request_id);
        Poll::Ready(answer.unwrap_or_else(|refusal| refusal.answer(this.request_id)))
    }
}

/// What was refused on the way is answered, too.
fn answering(
    request_id: RequestId,
    answer: impl Future<Output = Result<http::Response<AnswerBody>, Refusal>> + Send + 'static,
) -> Outcome {
    Outcome::later(async move { answer.await.unwrap_or_else(|refusal| refusal.answer(&request_id)) })
}

impl<Req: Message, Res: Message> Route for Unary<Req, Res> {
    fn call(&self, arrived: Arrived<'_>) -> Outcome {
        let Arrived { headers, body, peer, query, variables } = arrived;
        let request_id = request_id(&headers);
        let content_type = (self.0.rule.body != RuleBody::None).then(|| body::content_type(&headers));
        let cx = match self.0.begin(headers, peer, &request_id) {
            Ok(cx) => cx,
            Err(refusal) => return Outcome::refused(refusal, &request_id),
        };
        let rule = Arc::clone(&self.0);
        let Some(content_type) = content_type else {
            return match rule.without_body(query, &variables) {
                Ok(message) => {
                    let call = rule.endpoint.call(Request::new(cx, message));
                    Outcome::later(Called { rule, request_id, call })
                }
                Err(error) => Outcome::refused(error, &request_id),
            };
        };
        let unread = Unread::new(content_type, body, query, variables);
        answering(request_id.clone(), async move {
            let message = rule.read(unread).await?;
            rule.unary(rule.endpoint.call(Request::new(cx, message)).await, &request_id)
        })
    }
}

impl<Req: Message, Res: Message> Route for ServerStreaming<Req, Res> {
    fn call(&self, arrived: Arrived<'_>) -> Outcome {
        let Arrived { headers, body, peer, query, variables } = arrived;
        let request_id = request_id(&headers);
        let unread = Unread::new(body::content_type(&headers), body, query, variables);
        let format = stream_format::<Res>(&headers);
        let cx = match self.0.begin(headers, peer, &request_id) {
            Ok(cx) => cx,
            Err(refusal) => return Outcome::refused(refusal, &request_id),
        };
        let Some(format) = format else { return Outcome::refused(not_acceptable(), &request_id) };
        let rule = Arc::clone(&self.0);
        answering(request_id.clone(), async move {
            let message = rule.read(unread).await?;
            let response = rule.endpoint.call(Request::new(cx, message)).await.map_err(Refusal::answered)?;
            Ok(stream::answer(response, rule.writing(format), &request_id).await?)
        })
    }
}

impl<Req: Message, Res: Message> Route for ClientStreaming<Req, Res> {
    fn call(&self, arrived: Arrived<'_>) -> Outcome {
        let Arrived { headers, body, peer, .. } = arrived;
        let request_id = request_id(&headers);
        let content_type = body::content_type(&headers);
        let cx = match self.0.begin(headers, peer, &request_id) {
            Ok(cx) => cx,
            Err(refusal) => return Outcome::refused(refusal, &request_id),
        };
        let rule = Arc::clone(&self.0);
        answering(request_id.clone(), async move {
            let messages = body::stream(content_type, body.boxed(), rule.limits.size, rule.json.clone())?;
            rule.unary(rule.endpoint.call(Request::new(cx, messages)).await, &request_id)
        })
    }
}

impl<Req: Message, Res: Message> Route for BidiStreaming<Req, Res> {
    fn call(&self, arrived: Arrived<'_>) -> Outcome {
        let Arrived { headers, body, peer, .. } = arrived;
        let request_id = request_id(&headers);
        let content_type = body::content_type(&headers);
        let format = stream_format::<Res>(&headers);
        let cx = match self.0.begin(headers, peer, &request_id) {
            Ok(cx) => cx,
            Err(refusal) => return Outcome::refused(refusal, &request_id),
        };
        let Some(format) = format else { return Outcome::refused(not_acceptable(), &request_id) };
        let rule = Arc::clone(&self.0);
        answering(request_id.clone(), async move {
            let messages = body::stream(content_type, body.boxed(), rule.limits.size, rule.json.clone())?;
            let response = rule.endpoint.call(Request::new(cx, messages)).await.map_err(Refusal::answered)?;
            Ok(stream::answer(response, rule.writing(format), &request_id).await?)
        })
    }
}
