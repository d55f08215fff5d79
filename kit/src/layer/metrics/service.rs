use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream as _;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use crate::{
    Class, Code, Error, Message, Payload, Request, Response, Streaming, Transport, endpoint::MapStream,
    telemetry::metrics::MethodSeries,
};

/// Counts calls: see the [module](super).
#[derive(Clone, Debug)]
pub struct MeteredCall<S> {
    inner: S,
    /// `None` where nothing is counted.
    series: Option<Arc<MethodSeries>>,
    transport: Option<Transport>,
}

impl<S> MeteredCall<S> {
    pub(super) fn new(inner: S, series: Option<Arc<MethodSeries>>, transport: Option<Transport>) -> Self {
        Self { inner, series, transport }
    }
}

impl<S, Req, Res> Service<Request<Req>> for MeteredCall<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Req: Payload,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(series) = &self.series else { return ResponseFuture { inner: self.inner.call(request), call: None } };
        let transport = self.transport.unwrap_or_else(|| request.context().transport());
        let call = Call::start(series, transport);
        let request = if Req::IS_STREAM {
            let sizes = RequestSizes(Arc::clone(series), transport);
            request.map(|payload| payload.map_stream(sizes))
        } else {
            series.request_size(transport, request.message().encoded_len());
            request
        };
        ResponseFuture { inner: self.inner.call(request), call: Some(call) }
    }
}

pin_project! {
    /// The future of a call that is counted. Dropping it counts `CANCELLED`.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
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
        let this = self.project();
        let result = ready!(this.inner.poll(cx)).map_err(Into::into);
        let Some(call) = this.call.take() else { return Poll::Ready(result) };
        Poll::Ready(match result {
            Ok(response) if Res::IS_STREAM => Ok(response.map(|payload| payload.map_stream(Watch(call)))),
            Ok(response) => {
                call.response_size(response.message().encoded_len());
                call.end(None);
                Ok(response)
            }
            Err(error) => {
                call.end(Some(&error));
                Err(error)
            }
        })
    }
}

/// A call that runs; dropped before it is ended, it was cancelled.
#[derive(Debug)]
struct Call {
    series: Arc<MethodSeries>,
    transport: Transport,
    start: Instant,
    ended: bool,
}

impl Call {
    fn start(series: &Arc<MethodSeries>, transport: Transport) -> Self {
        series.started(transport);
        Self { series: Arc::clone(series), transport, start: Instant::now(), ended: false }
    }

    fn response_size(&self, bytes: usize) {
        self.series.response_size(self.transport, bytes);
    }

    fn end(mut self, error: Option<&Error>) {
        match error {
            None => self.count(Code::Ok, None),
            Some(error) => self.count(error.code(), Some(error.class())),
        }
    }

    fn count(&mut self, code: Code, class: Option<Class>) {
        self.ended = true;
        self.series.ended(self.transport, code, class, self.start.elapsed());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.count(Code::Cancelled, Some(Class::Cancelled));
        }
    }
}

/// Counts the messages of a stream of answers, and the call when the stream ends.
struct Watch(Call);

impl MapStream for Watch {
    fn map<M: Message>(self, mut stream: Streaming<M>) -> Streaming<M> {
        let mut call = Some(self.0);
        Streaming::new(futures_util::stream::poll_fn(move |cx| {
            let item = ready!(Pin::new(&mut stream).poll_next(cx));
            match &item {
                Some(Ok(message)) => {
                    if let Some(call) = &call {
                        call.response_size(message.encoded_len());
                    }
                }
                end => {
                    if let Some(call) = call.take() {
                        call.end(end.as_ref().and_then(|result| result.as_ref().err()));
                    }
                }
            }
            Poll::Ready(item)
        }))
    }
}

/// Counts the messages of a stream of requests.
struct RequestSizes(Arc<MethodSeries>, Transport);

impl MapStream for RequestSizes {
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M> {
        let Self(series, transport) = self;
        stream.and_then(move |message| {
            series.request_size(transport, prost::Message::encoded_len(&message));
            Ok(message)
        })
    }
}
