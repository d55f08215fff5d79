use tower::Layer;

use super::AccessLog;

/// Logs the calls of a service.
#[derive(Clone, Debug, Default)]
pub struct AccessLogLayer(());

impl AccessLogLayer {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog { inner }
    }
}
