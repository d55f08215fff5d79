//! A middleware around endpoints, whatever their messages are.
//!
//! Inside it is an ordinary Tower layer; [`Middleware`] is what puts it around the methods of any service. It knows method
//! and context of a call and nothing of its messages; so it fits what is about calls as such.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use kit::{Context, Endpoint, Error, LayerInfo, Middleware, Payload, Request, Response};
use serde_json::json;
use tokio::time::Instant;
use tower::{Layer, Service};

/// Logs a warning for every call that takes longer than a time; of a stream, until it begins.
///
/// ```
/// use bookdetails::{proto::details::BookDetailsEndpoints, slow_calls::SlowCalls};
/// use std::time::Duration;
///
/// fn watched(endpoints: BookDetailsEndpoints) -> BookDetailsEndpoints {
///     endpoints.with(&SlowCalls::new(Duration::from_millis(500)))
/// }
/// # let _ = watched;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SlowCalls {
    limit: Duration,
}

impl SlowCalls {
    /// Calls longer than `limit` are slow.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl Middleware for SlowCalls {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let limit = format!("{:?}", self.limit);
        endpoint.wrap([LayerInfo::new("slow_calls", json!({ "limit": limit }))], |inner| self.layer(inner))
    }
}

impl<S> Layer<S> for SlowCalls {
    type Service = SlowCallsService<S>;

    fn layer(&self, inner: S) -> SlowCallsService<S> {
        SlowCallsService { inner, limit: self.limit }
    }
}

/// The service that [`SlowCalls`] makes.
#[derive(Clone, Debug)]
pub struct SlowCallsService<S> {
    inner: S,
    limit: Duration,
}

impl<S, Req, Res> Service<Request<Req>> for SlowCallsService<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    type Response = Response<Res>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Res>, S::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let watch = Watch { start: Instant::now(), limit: self.limit, cx: request.context().clone() };
        let answer = self.inner.call(request);
        Box::pin(async move {
            // Dropped with the future too: calls that are given up are often the slow ones.
            let _watch = watch;
            answer.await
        })
    }
}

struct Watch {
    start: Instant,
    limit: Duration,
    cx: Context,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let took = self.start.elapsed();
        if took > self.limit {
            let method = self.cx.method().map_or("-", |method| &*method.path);
            tracing::warn!(method, duration_ms = took.as_secs_f64() * 1e3, "slow call");
        }
    }
}
