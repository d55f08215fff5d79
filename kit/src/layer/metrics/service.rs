use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower::Service;

use crate::{
    Class, Code, Error, Message, Payload, Request, Response, Streaming, Transport,
    endpoint::MapStream,
    layer::track::{Outcome, Track, Tracked},
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
    type Future = Tracked<S::Future, Call>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let Some(series) = &self.series else { return Tracked::new(self.inner.call(request), None) };
        let transport = self.transport.unwrap_or_else(|| request.context().transport());
        let call = Call::new(series, transport, Instant::now());
        began(series, transport, request.message());
        let request = if Req::IS_STREAM { counted(series, transport, request) } else { request };
        Tracked::new(self.inner.call(request), call)
    }
}

/// A call that runs.
#[derive(Debug)]
pub struct Call {
    series: Arc<MethodSeries>,
    transport: Transport,
    start: Instant,
}

impl Call {
    /// One that began at `start`.
    #[inline]
    pub(crate) fn new(series: &Arc<MethodSeries>, transport: Transport, start: Instant) -> Self {
        Self { series: Arc::clone(series), transport, start }
    }
}

/// Counts the beginning of a call, and the message that is asked with.
#[inline]
pub(crate) fn began<Req: Payload>(series: &MethodSeries, transport: Transport, request: &Req) {
    series.started(transport);
    if !Req::IS_STREAM {
        series.request_size(transport, request.encoded_len());
    }
}

/// A stream of requests whose messages are counted.
pub(crate) fn counted<Req: Payload>(
    series: &Arc<MethodSeries>,
    transport: Transport,
    request: Request<Req>,
) -> Request<Req> {
    let sizes = RequestSizes(Arc::clone(series), transport);
    request.map(|payload| payload.map_stream(sizes))
}

/// Counts the end of a call.
#[inline]
pub(crate) fn ended(series: &MethodSeries, transport: Transport, outcome: Outcome<'_>, took: Duration) {
    let (code, class) = match outcome {
        Outcome::Answered => (Code::Ok, None),
        Outcome::Failed(error) => (error.code(), Some(error.class())),
        Outcome::Dropped => (Code::Cancelled, Some(Class::Cancelled)),
    };
    series.ended(transport, code, class, took);
}

impl Track for Call {
    #[inline]
    fn message<P: Payload>(&mut self, message: &P) {
        self.series.response_size(self.transport, message.encoded_len());
    }

    #[inline]
    fn end(self, outcome: Outcome<'_>) {
        ended(&self.series, self.transport, outcome, self.start.elapsed());
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
