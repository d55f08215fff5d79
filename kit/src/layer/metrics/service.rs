use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
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
        let call = Call::start(series, transport);
        let request = if Req::IS_STREAM {
            let sizes = RequestSizes(Arc::clone(series), transport);
            request.map(|payload| payload.map_stream(sizes))
        } else {
            series.request_size(transport, request.message().encoded_len());
            request
        };
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
    #[inline]
    fn start(series: &Arc<MethodSeries>, transport: Transport) -> Self {
        series.started(transport);
        Self { series: Arc::clone(series), transport, start: Instant::now() }
    }
}

impl Track for Call {
    #[inline]
    fn message<P: Payload>(&mut self, message: &P) {
        self.series.response_size(self.transport, message.encoded_len());
    }

    #[inline]
    fn end(self, outcome: Outcome<'_>) {
        let (code, class) = match outcome {
            Outcome::Answered => (Code::Ok, None),
            Outcome::Failed(error) => (error.code(), Some(error.class())),
            Outcome::Dropped => (Code::Cancelled, Some(Class::Cancelled)),
        };
        self.series.ended(self.transport, code, class, self.start.elapsed());
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
