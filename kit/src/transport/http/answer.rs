//! Answers and errors as HTTP.

use std::{any::Any, collections::HashMap, convert::Infallible, sync::LazyLock};

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::bodies::AnswerBody;
use crate::{
    Error, Message, RequestId, Response,
    json::{self, Options},
    message::{Codec, Field, KeyCodec, Visit},
    proto::google::api::HttpBody,
    transport::{answer_headers, status::to_status},
};

/// An error and the HTTP status it has here, where that is not the one of its code.
#[derive(Debug)]
pub(super) struct Refusal {
    status: Option<StatusCode>,
    error: Error,
    // Whether the endpoint's own log has it.
    logged: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: Error) -> Self {
        Self { status: Some(status), error, logged: false }
    }

    /// What an endpoint answered: the layers around it have logged it.
    pub(super) fn answered(error: Error) -> Self {
        Self { status: None, error, logged: true }
    }

    pub(super) fn into_error(self) -> Error {
        self.error
    }

    /// The answer that says so.
    pub(super) fn answer(self, request_id: &RequestId) -> http::Response<AnswerBody> {
        let Self { status, error, logged } = self;
        if !logged {
            log(&error, request_id);
        }
        let code = status.or_else(|| StatusCode::from_u16(error.code().http_status()).ok());
        let mut response = http::Response::new(AnswerBody::Whole(error_json(&error).into()));
        *response.status_mut() = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = answer_headers(error.metadata().clone(), request_id);
        set_json(response.headers_mut());
        if let Some(delay) = error.retry_delay() {
            // Whole seconds, rounded up: a client that comes early is refused again.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { status: None, error, logged: false }
    }
}

/// What never came to an endpoint, or went wrong behind it, is in no access log.
fn log(error: &Error, request_id: &RequestId) {
    let (code, text) = (error.code().name(), error.to_log().to_string());
    if error.is_fault() {
        tracing::error!(target: "kit::access", code, %request_id, error = text, "answer");
    } else {
        tracing::debug!(target: "kit::access", code, %request_id, error = text, "refused");
    }
}

fn set_json(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The JSON of `google.rpc.Status`. Details of types that are not known here are left out, not those beside them.
pub(super) fn error_json(error: &Error) -> Vec<u8> {
    let mut status = to_status(error);
    match json::to_vec(&status, &STATUS) {
        Ok(bytes) => bytes,
        Err(_) => {
            status.details.retain(|detail| json::to_vec(detail, &STATUS).is_ok());
            json::to_vec(&status, &STATUS).unwrap_or_default()
        }
    }
}

/// How errors are written and read: with the types that their details have. A constant in all but its making.
pub(super) static STATUS: LazyLock<Options> = LazyLock::new(|| Options {
    registry: crate::proto::google::rpc::register(json::Registry::default()),
    ..Options::default()
});

/// The answer of a unary call.
pub(super) fn unary<M: Message>(
    response: Response<M>,
    response_body: Option<&str>,
    options: &Options,
    request_id: &RequestId,
) -> Result<http::Response<AnswerBody>, Error> {
    let (metadata, message) = response.into_parts();
    let mut headers = answer_headers(metadata, request_id);
    let raw = match response_body {
        None => as_raw(&message).cloned(),
        Some(field) => raw_field(&message, field),
    };
    let body = match raw {
        Some(raw) => {
            headers.insert(header::CONTENT_TYPE, raw_type(&raw)?);
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            AnswerBody::Whole(raw.data.into())
        }
        None => {
            set_json(&mut headers);
            AnswerBody::Whole(match response_body {
                None => json::to_bytes(&message, options)?,
                Some(_) => message_json(&message, response_body, options)?.into(),
            })
        }
    };
    let mut answer = http::Response::new(body);
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// The JSON of an answer, or of the field of it that the rule asks for.
pub(super) fn message_json<M: Message>(
    message: &M,
    response_body: Option<&str>,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    match response_body {
        None => json::to_vec(message, options),
        Some(field) => json::write_field(message, field, options).map_err(|e| {
            Error::internal("the answer has no JSON form").with_log(format!("writing {field} of {}: {e}", M::NAME))
        }),
    }
}

pub(super) fn as_raw<M: Message>(message: &M) -> Option<&HttpBody> {
    (message as &dyn Any).downcast_ref()
}

/// The bytes that a field holds, when the rule asks for a field of that type.
pub(super) fn raw_field<M: Message>(message: &M, name: &str) -> Option<HttpBody> {
    let mut find = FindRaw { name, found: None };
    let Ok(()) = message.visit(&mut find);
    find.found
}

struct FindRaw<'a> {
    name: &'a str,
    found: Option<HttpBody>,
}

impl FindRaw<'_> {
    fn look(&mut self, field: &Field, value: &dyn Any) {
        if field.name == self.name {
            self.found = value.downcast_ref().cloned();
        }
    }
}

impl Visit for FindRaw<'_> {
    type Error = Infallible;

    fn singular<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Infallible> {
        self.look(field, value);
        Ok(())
    }
    fn optional<C: Codec>(&mut self, field: &Field, value: &Option<C::Value>) -> Result<(), Infallible> {
        // An answer that is not there is no bytes, of the type that a missing message has.
        self.look(field, value.as_ref().unwrap_or(&C::unset()));
        Ok(())
    }
    fn member<C: Codec>(&mut self, field: &Field, value: &C::Value) -> Result<(), Infallible> {
        self.look(field, value);
        Ok(())
    }
    fn repeated<C: Codec>(&mut self, _: &Field, _: &[C::Value]) -> Result<(), Infallible> {
        Ok(())
    }
    fn map<K: KeyCodec, C: Codec>(&mut self, _: &Field, _: &HashMap<K::Value, C::Value>) -> Result<(), Infallible> {
        Ok(())
    }
}

pub(super) fn raw_type(raw: &HttpBody) -> Result<HeaderValue, Error> {
    if raw.content_type.is_empty() {
        return Ok(HeaderValue::from_static("application/octet-stream"));
    }
    HeaderValue::from_str(&raw.content_type).map_err(|_| {
        Error::internal("the answer has a content type that can't be sent").with_log(raw.content_type.clone())
    })
}
