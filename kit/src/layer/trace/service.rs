use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream as _;
use pin_project_lite::pin_project;
use tower::Service;

use crate::{
    Code, Context, Error, Message, Method, Payload, Request, Response, Streaming, Transport,
    endpoint::{
        MapStream,
        current::{self, Ids, Scoped},
    },
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
pub(super) struct Traced {
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

    fn open(&self, cx: &Context) -> Option<Span> {
        let name = || Arc::clone(&self.name).into();
        if self.serves { self.tracer.serve(cx, name) } else { self.tracer.call(cx, name) }
    }

    fn describe(&self, span: &Span, cx: &Context) {
        span.tag("rpc.service", Arc::clone(&self.service));
        span.tag("rpc.method", Arc::clone(&self.method));
        span.tag("request.id", cx.request_id().as_str().to_owned());
        if self.serves {
            span.tag("transport", cx.transport().name());
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
        let span = self.traced.as_ref().and_then(|traced| Some((traced, traced.open(request.context())?)));
        let Some((traced, span)) = span else { return ResponseFuture::untraced(self.inner.call(request)) };
        let cx = request.context_mut();
        if !span.is_recorded() {
            // Its ids travel on and stand on the log lines; nothing is to be told when it ends.
            cx.set_span(Some(span));
            return ResponseFuture::untraced(self.inner.call(request));
        }
        traced.describe(&span, cx);
        cx.set_span(Some(span.clone()));
        let http = traced.serves && cx.transport() == Transport::Http;
        let call = Call { ids: Ids::from(&*cx), span: OpenSpan::new(Some(span)), http, over: false };
        let inner = current::enter(call.ids.clone(), || self.inner.call(request));
        ResponseFuture { state: State::Traced { inner: current::scoped(call.ids.clone(), inner), call: Some(call) } }
    }
}

pin_project! {
    /// The future of a call with a span. Dropping it ends the span as cancelled.
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
        Traced { #[pin] inner: Scoped<F>, call: Option<Call> },
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
        let (inner, call) = match self.project().state.project() {
            Projected::Untraced { inner } => return inner.poll(cx).map_err(Into::into),
            Projected::Traced { inner, call } => (inner, call),
        };
        let result = ready!(inner.poll(cx)).map_err(Into::into);
        let Some(call) = call.take() else { return Poll::Ready(result) };
        Poll::Ready(match result {
            Ok(response) if Res::IS_STREAM => Ok(response.map(|payload| payload.map_stream(Watch(call)))),
            Ok(response) => {
                call.finish(None, None);
                Ok(response)
            }
            Err(error) => {
                call.finish(Some(&error), None);
                Err(error)
            }
        })
    }
}

/// A call whose span is open; dropped before it is finished, it was cancelled.
#[derive(Debug)]
struct Call {
    span: OpenSpan,
    ids: Ids,
    http: bool,
    over: bool,
}

/// What was answered before a stream began.
const BEGAN: u16 = Code::Ok.http_status();

impl Call {
    fn finish(mut self, error: Option<&Error>, status: Option<u16>) {
        self.over = true;
        let code = error.map_or(Code::Ok, Error::code);
        self.span.tag("rpc.response.status_code", code.name());
        if self.http {
            self.span.tag("http.status_code", status.unwrap_or(code.http_status()).to_string());
        }
        if let Some(error) = error.filter(|error| error.is_fault()) {
            self.span.fail(error.to_string());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.over {
            self.span.tag("rpc.response.status_code", Code::Cancelled.name());
            self.span.tag("cancelled", "true");
        }
    }
}

/// Ends the span when the stream ends, and runs the stream inside it.
struct Watch(Call);

impl MapStream for Watch {
    fn map<M: Message>(self, mut stream: Streaming<M>) -> Streaming<M> {
        let mut call = Some(self.0);
        Streaming::new(futures_util::stream::poll_fn(move |cx| {
            let Some(ids) = call.as_ref().map(|call| call.ids.clone()) else { return Poll::Ready(None) };
            let item = ready!(current::enter(ids, || Pin::new(&mut stream).poll_next(cx)));
            match &item {
                Some(Ok(_)) => {}
                end => {
                    if let Some(call) = call.take() {
                        call.finish(end.as_ref().and_then(|result| result.as_ref().err()), Some(BEGAN));
                    }
                }
            }
            Poll::Ready(item)
        }))
    }
}
