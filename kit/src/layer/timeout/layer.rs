use std::time::Duration;

use tower::Layer;

use super::Timeout;

/// Puts a deadline around a service.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    limit: Option<Duration>,
}

impl TimeoutLayer {
    /// A call may take `limit`, or what the caller allows if that is less; `None`: what the caller allows.
    pub fn new(limit: Option<Duration>) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.limit)
    }
}
