use std::time::Duration;

use tower::Layer;

use super::{Timeout, service::Side};

/// Puts a deadline around a service.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    limit: Option<Duration>,
    side: Side,
}

impl TimeoutLayer {
    /// For a method that is served: a call may take `limit`, or what the caller allows if that is less; `None`: what the caller
    /// allows. A deadline of the caller's that passes is no fault.
    pub fn server(limit: Option<Duration>) -> Self {
        Self { limit, side: Side::Server }
    }

    /// For a method that is called somewhere else: a call may take `limit`, or what is left of the call that it belongs to if
    /// that is less. A deadline that passes is a fault: the upstream was too slow.
    pub fn client(limit: Option<Duration>) -> Self {
        Self { limit, side: Side::Client }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, limit: self.limit, side: self.side }
    }
}
