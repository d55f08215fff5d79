use std::sync::Arc;

use serde_json::json;
use tower::Layer;

use super::{Report, limit::Limit, service::Shared};
use crate::{LayerInfo, telemetry::report::ErrorReports};

/// Reports the calls of a service that fail.
#[derive(Clone, Debug)]
pub struct ReportLayer {
    reports: Option<ErrorReports>,
}

impl ReportLayer {
    /// The layer.
    pub fn new(reports: ErrorReports) -> Self {
        Self { reports: Some(reports) }
    }

    /// Reports nothing, at no cost: for a chain whose type has the layer whether there are reports or not.
    pub fn none() -> Self {
        Self { reports: None }
    }

    /// What the calls of one method share.
    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        let reports = self.reports.as_ref()?;
        Some(Arc::new(Shared { reports: reports.clone(), limit: Limit::new(reports.per_minute()) }))
    }

    /// What it tells of itself: see [`Endpoint::wrap`](crate::Endpoint::wrap). `None` for one that reports nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let reports = self.reports.clone()?;
        let settings = json!({ "per_minute": reports.per_minute(), "max_body": reports.max_body() });
        Some(LayerInfo::new("report", settings).with_state(move || json!(reports.figures())))
    }
}

impl<S> Layer<S> for ReportLayer {
    type Service = Report<S>;

    fn layer(&self, inner: S) -> Report<S> {
        Report { inner, shared: self.shared() }
    }
}
