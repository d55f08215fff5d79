use std::{borrow::Cow, fmt, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// An answer that is no profile: a status and a text that says what to do.
///
/// It is marked as `go tool pprof` expects it, which then shows the text and not only the status.
#[derive(Debug)]
pub(in crate::debug) struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(in crate::debug) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    pub(in crate::debug) fn bad_request(text: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(in crate::debug) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping: nothing is recorded any more")
    }

    /// What went wrong here and not in the request; the cause is for the log.
    pub(in crate::debug) fn failed(what: &'static str, cause: &dyn fmt::Display) -> Self {
        tracing::warn!(%cause, "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{what}: {cause}"))
    }

    /// Something else is recorded for so long.
    pub(super) fn busy(what: &str, left: Duration) -> Self {
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let time = match seconds {
            0 => "it is being written now".to_owned(),
            seconds => format!("{seconds} s are left"),
        };
        Self {
            status: StatusCode::CONFLICT,
            text: format!("{what} is being recorded, and there is one recording at a time in a process: {time}").into(),
            retry_after: Some(seconds.max(1)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.text)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert("x-go-pprof", HeaderValue::from_static("1"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
