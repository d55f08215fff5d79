//! One rule of one method: from an HTTP request to its answer.

use std::{future::Future, pin::Pin, sync::Arc};

use http::{HeaderMap, StatusCode, request::Parts};

use super::{
    Body, HttpConfig,
    accept::StreamFormat,
    answer::{Refusal, as_raw, unary},
    bind::Binding,
    body::{self, Limits},
    stream::{self, Writing},
};
use crate::{
    Context, Endpoint, Error, HttpRule, Message, Payload, Request, Response, RuleBody, Streaming, Transport, json,
    message::bind,
    transport::{arrive, request_id},
};

pub(super) type Answering = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

/// What the router finds.
pub(super) trait Route: Send + Sync {
    /// Answers a request whose path has these variables.
    fn call(self: Arc<Self>, parts: Parts, body: Body, variables: Vec<String>) -> Answering;
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

    async fn answer<F, Fut>(self: Arc<Self>, mut parts: Parts, answer: F) -> http::Response<Body>
    where
        F: FnOnce(Arc<Self>, Context, Parts) -> Fut,
        Fut: Future<Output = Result<http::Response<Body>, Refusal>>,
    {
        let headers = std::mem::take(&mut parts.headers);
        for name in [http::header::ACCEPT, http::header::CONTENT_TYPE, http::header::ORIGIN] {
            for value in headers.get_all(&name) {
                parts.headers.append(name.clone(), value.clone());
            }
        }
        let request_id = request_id(&headers);
        if let Some(refusal) = self.refuse_encoding(&headers) {
            return refusal.answer(&request_id);
        }
        let cx = match arrive(self.endpoint.method(), Transport::Http, headers, &parts.extensions, &request_id) {
            Ok(cx) => cx,
            Err(error) => return Refusal::from(error).answer(&request_id),
        };
        match answer(self, cx, parts).await {
            Ok(response) => response,
            Err(refusal) => refusal.answer(&request_id),
        }
    }

    /// A body that was compressed in a way that is taken here has been unpacked before, and its header is gone.
    fn refuse_encoding(&self, headers: &HeaderMap) -> Option<Refusal> {
        let encoding = headers.get(http::header::CONTENT_ENCODING)?;
        if encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return None;
        }
        let taken = if self.compression { "send it as gzip or as it is" } else { "send it as it is" };
        let shown = String::from_utf8_lossy(encoding.as_bytes());
        let shown = json::scalar::shorten(&shown);
        let message = format!("a body with the content encoding {shown:?} is not taken here: {taken}");
        Some(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Error::invalid_argument(message)))
    }

    fn stream_format<M: Message>(&self, parts: &Parts) -> Result<StreamFormat, Refusal> {
        if as_raw(&M::default()).is_some() {
            // The bytes have a type of their own.
            return Ok(StreamFormat::Lines);
        }
        StreamFormat::of(&parts.headers).ok_or_else(|| {
            let message =
                "a stream comes as application/x-ndjson, text/event-stream or application/json: accept one of them";
            Refusal::new(StatusCode::NOT_ACCEPTABLE, Error::invalid_argument(message))
        })
    }

    fn writing(&self, format: StreamFormat) -> Writing {
        let response_body = self.rule.response_body.as_ref().map(ToString::to_string);
        Writing { format, response_body, options: self.json.clone() }
    }
}

impl<Req: Message, Res: Payload> Rule<Req, Res> {
    async fn read(&self, parts: &Parts, body: Body, variables: &[String]) -> Result<Req, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let mut message = Req::default();
        match &self.rule.body {
            RuleBody::None => {
                self.binding.bind_query(&mut message, query)?;
            }
            RuleBody::All => {
                let received = body::read(&parts.headers, body, self.limits).await?;
                self.binding.bind_query(&mut message, query)?;
                message = body::whole(received, &self.json)?;
            }
            RuleBody::Field(name) => {
                let received = body::read(&parts.headers, body, self.limits).await?;
                let set = self.binding.bind_query(&mut message, query)?;
                let mask = self.rule.field_mask.as_deref().filter(|mask| !set.iter().any(|path| path == mask));
                let paths = body::field(&mut message, name, received, &self.json, mask.is_some())?;
                if let Some(mask) = mask.filter(|_| !paths.is_empty()) {
                    bind(&mut message, mask, &paths.join(",")).map_err(|e| {
                        Error::internal("the service has a broken HTTP rule")
                            .with_log(format!("field mask {mask}: {e}"))
                    })?;
                }
            }
        }
        self.binding.bind_path(&mut message, variables)?;
        Ok(message)
    }
}

pub(super) struct Unary<Req, Res>(pub(super) Arc<Rule<Req, Res>>);
pub(super) struct ServerStreaming<Req, Res>(pub(super) Arc<Rule<Req, Streaming<Res>>>);
pub(super) struct ClientStreaming<Req, Res>(pub(super) Arc<Rule<Streaming<Req>, Res>>);
pub(super) struct BidiStreaming<Req, Res>(pub(super) Arc<Rule<Streaming<Req>, Streaming<Res>>>);

impl<Req: Message, Res: Message> Route for Unary<Req, Res> {
    fn call(self: Arc<Self>, parts: Parts, body: Body, variables: Vec<String>) -> Answering {
        Box::pin(Arc::clone(&self.0).answer(parts, |rule, cx, parts| async move {
            let message = rule.read(&parts, body, &variables).await?;
            let request_id = cx.request_id().clone();
            let response = rule.endpoint.call(Request::new(cx, message)).await.map_err(Refusal::answered)?;
            Ok(unary(response, rule.rule.response_body.as_deref(), &rule.json, &request_id)?)
        }))
    }
}

impl<Req: Message, Res: Message> Route for ServerStreaming<Req, Res> {
    fn call(self: Arc<Self>, parts: Parts, body: Body, variables: Vec<String>) -> Answering {
        Box::pin(Arc::clone(&self.0).answer(parts, |rule, cx, parts| async move {
            let format = rule.stream_format::<Res>(&parts)?;
            let message = rule.read(&parts, body, &variables).await?;
            let request_id = cx.request_id().clone();
            let response = rule.endpoint.call(Request::new(cx, message)).await.map_err(Refusal::answered)?;
            Ok(stream::answer(response, rule.writing(format), &request_id).await?)
        }))
    }
}

impl<Req: Message, Res: Message> Route for ClientStreaming<Req, Res> {
    fn call(self: Arc<Self>, parts: Parts, body: Body, _: Vec<String>) -> Answering {
        Box::pin(Arc::clone(&self.0).answer(parts, |rule, cx, parts| async move {
            let messages = body::stream(&parts.headers, body, rule.limits.size, rule.json.clone())?;
            let request_id = cx.request_id().clone();
            let response: Response<Res> =
                rule.endpoint.call(Request::new(cx, messages)).await.map_err(Refusal::answered)?;
            Ok(unary(response, rule.rule.response_body.as_deref(), &rule.json, &request_id)?)
        }))
    }
}

impl<Req: Message, Res: Message> Route for BidiStreaming<Req, Res> {
    fn call(self: Arc<Self>, parts: Parts, body: Body, _: Vec<String>) -> Answering {
        Box::pin(Arc::clone(&self.0).answer(parts, |rule, cx, parts| async move {
            let format = rule.stream_format::<Res>(&parts)?;
            let messages = body::stream(&parts.headers, body, rule.limits.size, rule.json.clone())?;
            let request_id = cx.request_id().clone();
            let response = rule.endpoint.call(Request::new(cx, messages)).await.map_err(Refusal::answered)?;
            Ok(stream::answer(response, rule.writing(format), &request_id).await?)
        }))
    }
}
