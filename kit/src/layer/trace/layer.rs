use std::sync::Arc;

use tower::Layer;

use super::{Trace, service::Traced};
use crate::{Method, trace::Tracer};

/// Opens a span for every call of one method.
#[derive(Clone, Debug)]
pub struct TraceLayer {
    pub(crate) traced: Option<Arc<Traced>>,
}

impl TraceLayer {
    /// For a method that is served.
    pub fn server(tracer: &Tracer, method: &Method) -> Self {
        Self::new(tracer, method, true)
    }

    /// For a method that is called somewhere else. Outside of retries there is one span for all attempts, inside of them one
    /// for each.
    pub fn client(tracer: &Tracer, method: &Method) -> Self {
        Self::new(tracer, method, false)
    }

    fn new(tracer: &Tracer, method: &Method, serves: bool) -> Self {
        Self { traced: tracer.is_enabled().then(|| Arc::new(Traced::new(tracer.clone(), method, serves))) }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner, traced: self.traced.clone() }
    }
}
