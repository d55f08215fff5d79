use tower::Layer;

use super::{Recover, hook};

/// Recovers panics of a service.
#[derive(Clone, Debug)]
pub struct RecoverLayer(());

impl RecoverLayer {
    /// The layer. The first one of a process installs the hook that keeps backtraces.
    #[allow(clippy::new_without_default, reason = "a Default should not change the process")]
    pub fn new() -> Self {
        hook::install();
        Self(())
    }
}

impl<S> Layer<S> for RecoverLayer {
    type Service = Recover<S>;

    fn layer(&self, inner: S) -> Recover<S> {
        Recover { inner }
    }
}
