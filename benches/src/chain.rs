//! One call through an endpoint and through the same without its erasure of types, for time and for allocations.

use std::time::Duration;

use kit::{
    Context, Endpoint, Error, Request, Response,
    layer::{
        access_log::AccessLogLayer, breaker::BreakerConfig, concurrency::ConcurrencyConfig,
        rate_limit::RateLimitConfig, recover::RecoverLayer, timeout::TimeoutLayer,
    },
    middleware::{ServerStackConfig, StandardStack},
    telemetry::{Telemetry, metrics::Metrics},
    trace::{Export, FinishedSpan, Sample, TraceConfig, Tracer},
};
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};

use crate::{
    proto::bench::{Book, FindRequest, Shelf as _},
    shelf::OneBook,
};

/// The limit that the standard chain has by default.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A book without anything in it, so that a copy of it allocates nothing and the chain is all that is measured.
pub fn nothing() -> OneBook {
    OneBook(Book::default())
}

/// The innermost service without an endpoint: what `Endpoint::from_fn` makes of a handler, by hand.
pub fn handler() -> impl Tower {
    let service = std::sync::Arc::new(nothing());
    service_fn(move |request: Request<FindRequest>| {
        let service = std::sync::Arc::clone(&service);
        async move {
            let (cx, message) = request.into_parts();
            service.find(&cx, message).await.map(Response::new)
        }
    })
}

/// One layer around the handler, not erased.
pub fn one_layer() -> impl Tower {
    ServiceBuilder::new().layer(TimeoutLayer::server(Some(LIMIT))).service(handler())
}

/// The layers of the standard chain around the handler, not erased.
pub fn three_layers() -> impl Tower {
    ServiceBuilder::new()
        .layer(AccessLogLayer::new())
        .layer(RecoverLayer::new())
        .layer(TimeoutLayer::server(Some(LIMIT)))
        .service(handler())
}

/// So many calls a second that none is refused.
const MANY: u64 = 1_000_000_000;

/// The chain of a service with all that keeps it up: limits, breaker and deadline, and what is there by default.
pub fn kept_up() -> Result<StandardStack, Error> {
    StandardStack::server(&ServerStackConfig {
        rate_limit: Some(RateLimitConfig::of(MANY, Duration::from_secs(1))),
        concurrency: Some(ConcurrencyConfig::default()),
        breaker: Some(BreakerConfig::default()),
        ..ServerStackConfig::default()
    })
}

/// Figures, and spans that are recorded for one call of a thousand.
pub fn watched() -> Telemetry {
    traced(Sample::Probability(0.001)).with_metrics(&Metrics::new())
}

/// Spans alone.
pub fn traced(sample: Sample) -> Telemetry {
    let config = TraceConfig { sample, ..TraceConfig::default() };
    Telemetry::new().with_tracer(&Tracer::builder(&config, "bench").export(Some(Forget)).build())
}

/// Takes spans and forgets them.
#[derive(Debug)]
pub struct Forget;

impl Export for Forget {
    fn export(&self, span: FinishedSpan) {
        std::hint::black_box(span);
    }
}

/// A Tower service that finds books.
pub trait Tower:
    Service<Request<FindRequest>, Response = Response<Book>, Error = Error, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Tower for S where
    S: Service<Request<FindRequest>, Response = Response<Book>, Error = Error, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

fn request(cx: &Context) -> Request<FindRequest> {
    Request::new(cx.clone(), FindRequest { id: 7, ..FindRequest::default() })
}

/// Calls the async function itself.
pub async fn call_function(count: u64) -> Result<(), Error> {
    let (service, cx) = (nothing(), Context::background());
    for _ in 0..count {
        let (cx, message) = std::hint::black_box(request(&cx)).into_parts();
        std::hint::black_box(service.find(&cx, message).await?);
    }
    Ok(())
}

/// Calls a service that is not erased, as an endpoint calls its own: a clone, when it is ready.
pub async fn call_tower(service: &impl Tower, count: u64) -> Result<(), Error> {
    let cx = Context::background();
    for _ in 0..count {
        std::hint::black_box(service.clone().oneshot(std::hint::black_box(request(&cx))).await?);
    }
    Ok(())
}

/// Calls an endpoint.
pub async fn call_endpoint(endpoint: &Endpoint<FindRequest, Book>, count: u64) -> Result<(), Error> {
    let cx = Context::background();
    for _ in 0..count {
        std::hint::black_box(endpoint.call(std::hint::black_box(request(&cx))).await?);
    }
    Ok(())
}
