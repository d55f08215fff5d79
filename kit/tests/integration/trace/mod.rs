//! A trace from a caller through two services to a database, and what a collector can't do to a call.

use kit::{
    Endpoint, Middleware, Payload,
    layer::{access_log::AccessLogLayer, trace::TraceLayer},
    trace::{Memory, Sample, TraceConfig, Tracer},
};
use tower::ServiceBuilder;

mod calls;
mod chain;
pub(crate) mod collector;
mod reporting;
mod schema;

/// Around what is served.
struct Serving(Tracer);

impl Middleware for Serving {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let stack =
            ServiceBuilder::new().layer(TraceLayer::server(&self.0, endpoint.method())).layer(AccessLogLayer::new());
        endpoint.wrap([], |inner| stack.service(inner))
    }
}

/// Around what is called.
struct Calling(Tracer);

impl Middleware for Calling {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = TraceLayer::client(&self.0, endpoint.method());
        endpoint.layer(layer)
    }
}

fn always() -> TraceConfig {
    TraceConfig { sample: Sample::Always, ..TraceConfig::default() }
}

/// A tracer that records everything, and what it records.
fn recording(service: &str) -> (Tracer, Memory) {
    let spans = Memory::joining();
    (Tracer::builder(&always(), service).export(Some(spans.clone())).build(), spans)
}
