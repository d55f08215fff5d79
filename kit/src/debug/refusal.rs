//! What is answered in the place of a page or a profile: a status, and a text that says what to do.

use std::{borrow::Cow, fmt};

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::answer::{self, Form};
use crate::{Code, Error};

/// An answer that is none: as `google.rpc.Status` for whom asks for JSON, as a line of text otherwise.
///
/// It is marked as `go tool pprof` expects it, which then shows the text and not only the status.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Code,
    text: Cow<'static, str>,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: Code::from_http_status(status.as_u16()), text: text.into(), retry_after: None }
    }

    /// Writes it in the form that the request takes.
    pub(super) fn respond(&self, headers: &HeaderMap) -> Response {
        let mut response = match Form::accepted(headers) {
            Some(Form::Json) => answer::json(&json!({ "code": self.code as i32, "message": self.text })),
            _ => answer::text(format!("{}\n", self.text)),
        };
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert("x-go-pprof", HeaderValue::from_static("1"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(feature = "pprof")]
impl Refusal {
    pub(super) fn bad_request(text: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping: nothing is recorded any more")
    }

    /// What went wrong here and not in the request; the cause is for the log.
    pub(super) fn failed(what: &'static str, cause: &dyn fmt::Display) -> Self {
        tracing::warn!(%cause, "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{what}: {cause}"))
    }

    /// Something else is recorded for so long.
    pub(super) fn busy(what: &str, left: std::time::Duration) -> Self {
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let time = match seconds {
            0 => "it is being written now".to_owned(),
            seconds => format!("{seconds} s are left"),
        };
        let text = format!("{what} is being recorded, and there is one recording at a time in a process: {time}");
        Self { retry_after: Some(seconds.max(1)), ..Self::new(StatusCode::CONFLICT, text) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = error.code();
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, text: error.message().to_owned().into(), retry_after: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn written(refusal: &Refusal, accept: &'static str) -> String {
        let headers = [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
        let response = refusal.respond(&headers);
        assert_eq!(response.status(), refusal.status);
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_program_that_takes_json_gets_the_status_of_an_error_and_all_others_a_line() {
        let refusal = Refusal::new(StatusCode::CONFLICT, "taken");
        assert_eq!(written(&refusal, "*/*").await, "taken\n");
        assert_eq!(written(&refusal, "text/html").await, "taken\n");
        let json: serde_json::Value = serde_json::from_str(&written(&refusal, "application/json").await).unwrap();
        assert_eq!(json, json!({ "code": Code::Aborted as i32, "message": "taken" }));
        let refusal = Refusal::from(Error::not_found("gone"));
        assert_eq!((refusal.status, refusal.code), (StatusCode::NOT_FOUND, Code::NotFound));
    }
}
