use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;
use tower::Service;

use crate::{
    Code, Context, Error, Message, Method, Payload, Request, Response, Transport,
    endpoint::current::{self, Ids, Scoped},
    layer::track::{Outcome, Track, Tracked},
    proto::google::api::HttpBody,
    trace::{OpenSpan, Span, Tracer},
};

/// Opens spans: see the [module](super).
#[derive(Clone, Debug)]
pub struct Trace<S> {
    pub(super) inner: S,
    /// `None` without a tracer.
    pub(super) traced: Option<Arc<Traced>>,
}

/// What all spans of a method have in common, made once.
#[derive(Debug)]
pub(crate) struct Traced {
    tracer: Tracer,
    serves: bool,
    name: Arc<str>,
    service: Arc<str>,
    method: Arc<str>,
}

impl Traced {
    pub(super) fn new(tracer: Tracer, method: &Method, serves: bool) -> Self {
        Self {
            tracer,
            serves,
            name: method.path.trim_start_matches('/').into(),
            service: (&*method.service).into(),
            method: (&*method.name).into(),
        }
    }

    /// Opens the span of a call. Of one that is not recorded the ids travel on and stand on the log lines, and nothing is to be told
    /// when it ends.
    #[inline]
    pub(crate) fn begin(&self, cx: &mut Context) -> Option<Box<Call>> {
        let span = self.open(cx)?;
        if !span.is_recorded() {
            cx.set_span(Some(span));
            return None;
        }
        Some(self.record(span, cx))
    }

    #[cold]
    fn record(&self, span: Span, cx: &mut Context) -> Box<Call> {
        self.describe(&span, cx);
        cx.set_span(Some(span.clone()));
        let http = self.serves && cx.transport() == Transport::Http;
        // In a box: calls that are not recorded, nearly all, carry no room for it.
        Box::new(Call { ids: Ids::from(&*cx), span: OpenSpan::new(Some(span)), http, began: false })
    }

    fn open(&self, cx: &Context) -> Option<Span> {
        let name = || Arc::clone(&self.name).into();
        if self.serves { self.tracer.serve(cx, name) } else { self.tracer.call(cx, name) }
    }

    fn describe(&self, span: &Span, cx: &Context) {
        span.tag_own("rpc.service", Arc::clone(&self.service));
        span.tag_own("rpc.method", Arc::clone(&self.method));
        span.tag_own("request.id", cx.request_id().as_str().to_owned());
        if self.serves {
            span.tag_own("transport", cx.transport().name());
            span.set_remote(None, cx.peer().and_then(|peer| peer.address));
        } else {
            // Which address it will be is not known before something is connected.
            span.set_remote(Some(Arc::clone(&self.service).into()), None);
        }
    }
}

impl<S, Req, Res> Service<Request<Req>> for Trace<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let call = self.traced.as_ref().and_then(|traced| traced.begin(request.context_mut()));
        let Some(call) = call else { return ResponseFuture::untraced(self.inner.call(request)) };
        let inner = current::scope_of(call.ids.clone(), || self.inner.call(request));
        ResponseFuture { state: State::Traced { inner: Tracked::new(inner, *call) } }
    }
}

pin_project! {
    /// The future of a call that may have a span. Dropping it ends the span as cancelled.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum State<F> {
        // Without a tracer, or not recorded.
        Untraced { #[pin] inner: F },
        Traced { #[pin] inner: Tracked<Scoped<F>, Call> },
    }
}

impl<F> ResponseFuture<F> {
    fn untraced(inner: F) -> Self {
        Self { state: State::Untraced { inner } }
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
    Res: Payload,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Untraced { inner } => inner.poll(cx).map_err(Into::into),
            Projected::Traced { inner } => inner.poll(cx),
        }
    }
}

/// A call whose span is open.
#[derive(Debug)]
pub(crate) struct Call {
    span: OpenSpan,
    ids: Ids,
    http: bool,
    /// Whether the answer is a stream whose HTTP status is out: an error that comes now does not change it.
    began: bool,
}

impl Track for Call {
    fn waiting<M: Message>(&mut self) {
        // The transport waits for the first message of a raw answer, because that says what the body is. Of all other streams
        // it takes what is there at once.
        self.began |= M::NAME != HttpBody::NAME;
    }

    fn message<P: Payload>(&mut self, _: &P) {
        self.began = true;
    }

    fn within<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        current::enter(self.ids.clone(), poll)
    }

    fn end(self, outcome: Outcome<'_>) {
        let code = match outcome {
            Outcome::Answered => Code::Ok,
            Outcome::Failed(error) => error.code(),
            Outcome::Dropped => Code::Cancelled,
        };
        let Some(span) = self.span.span() else { return };
        span.tag_own("rpc.response.status_code", code.name());
        if matches!(outcome, Outcome::Dropped) {
            span.tag_own("cancelled", "true");
        } else if self.http {
            let answered = if self.began { Code::Ok } else { code };
            span.tag_own("http.status_code", answered.http_status().to_string());
        }
        if let Some(error) = outcome.error().filter(|error| error.is_fault()) {
            span.fail(error.to_string());
        }
    }
}
