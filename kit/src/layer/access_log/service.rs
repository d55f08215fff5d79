use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream as _;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use crate::{
    Class, Code, Context, Error, Message, Payload, Request, Response, Streaming,
    endpoint::{
        MapStream,
        current::{self, Ids, Scoped},
    },
};

/// Logs calls: see the [module](super).
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    pub(super) inner: S,
}

impl<S, Req, Res> Service<Request<Req>> for AccessLog<S>
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

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let call = Call::start(request.context());
        let inner = current::enter(call.ids.clone(), || self.inner.call(request));
        ResponseFuture { inner: current::scoped(call.ids.clone(), inner), call: Some(call) }
    }
}

pin_project! {
    /// The future of a call that is logged. Dropping it logs `CANCELLED`.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Scoped<F>,
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
                call.finish(None);
                Ok(response)
            }
            Err(error) => {
                call.finish(Some(&error));
                Err(error)
            }
        })
    }
}

/// A call that has not been logged yet; dropped before it is finished, it was cancelled.
#[derive(Debug)]
struct Call {
    context: Context,
    ids: Ids,
    start: Instant,
    logged: bool,
}

impl Call {
    fn start(context: &Context) -> Self {
        Self { context: context.clone(), ids: Ids::from(context), start: Instant::now(), logged: false }
    }

    fn finish(mut self, error: Option<&Error>) {
        self.log(error);
    }

    fn log(&mut self, error: Option<&Error>) {
        self.logged = true;
        let call = &*self;
        // The values are written inside the macros: nothing is measured or formatted for a line that nobody wants.
        macro_rules! line {
            ($level:ident, $error:expr) => {
                tracing::$level!(
                    target: "kit::access",
                    code = $error.code().name(),
                    duration_ms = call.milliseconds(),
                    transport = call.context.transport().name(),
                    peer = call.peer(),
                    error = %$error.to_log(),
                    "call"
                )
            };
        }
        current::enter(call.ids.clone(), || match error {
            None => tracing::info!(
                target: "kit::access",
                code = Code::Ok.name(),
                duration_ms = call.milliseconds(),
                transport = call.context.transport().name(),
                peer = call.peer(),
                "call"
            ),
            Some(error) => match error.class() {
                Class::Fault => line!(error, error),
                Class::Transient | Class::Rejected => line!(warn, error),
                Class::Caller | Class::Cancelled => line!(info, error),
            },
        });
    }

    fn milliseconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e3
    }

    fn peer(&self) -> String {
        let address = self.context.peer().and_then(|peer| peer.address);
        address.map_or_else(|| "-".to_owned(), |address| address.to_string())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.logged {
            self.log(Some(&Error::cancelled("the caller went away")));
        }
    }
}

/// Logs a stream when it ends, and runs it as part of its call.
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
                        call.finish(end.as_ref().and_then(|result| result.as_ref().err()));
                    }
                }
            }
            Poll::Ready(item)
        }))
    }
}
