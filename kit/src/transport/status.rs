//! Errors as `google.rpc.Status`, the form that both transports send.

use std::time::Duration;

use prost::Message as _;
use prost_types::Any;

use crate::{
    Code, Error, Message,
    proto::google::rpc::{BadRequest, ErrorInfo, RetryInfo, Status, bad_request::FieldViolation},
};

/// Whether there is more to an error than its code and its message.
#[cfg(feature = "grpc")]
pub(crate) fn has_details(error: &Error) -> bool {
    error.reason().is_some()
        || !error.field_violations().is_empty()
        || error.retry_delay().is_some()
        || !error.details().is_empty()
}

/// What the caller may see of an error.
pub(crate) fn to_status(error: &Error) -> Status {
    let mut details = Vec::new();
    if let Some(reason) = error.reason() {
        details.push(pack(&ErrorInfo {
            reason: reason.reason.clone(),
            domain: reason.domain.clone(),
            metadata: reason.metadata.clone().into_iter().collect(),
        }));
    }
    if !error.field_violations().is_empty() {
        let violation = |v: &crate::FieldViolation| FieldViolation {
            field: v.field.clone(),
            description: v.description.clone(),
            ..FieldViolation::default()
        };
        details.push(pack(&BadRequest { field_violations: error.field_violations().iter().map(violation).collect() }));
    }
    if let Some(delay) = error.retry_delay() {
        details.push(pack(&RetryInfo { retry_delay: prost_types::Duration::try_from(delay).ok() }));
    }
    details.extend_from_slice(error.details());
    Status { code: error.code() as i32, message: error.message().to_owned(), details }
}

/// The error that a peer's status stands for.
pub(crate) fn from_status(status: Status) -> Error {
    let mut error = Error::new(Code::from_i32(status.code), status.message);
    for any in status.details {
        let bytes = any.value.as_slice();
        match any.type_url.rsplit('/').next() {
            Some(ErrorInfo::NAME) => {
                if let Ok(ErrorInfo { reason, domain, metadata }) = ErrorInfo::decode(bytes) {
                    error = error.with_reason(reason, domain);
                    for (key, value) in metadata {
                        error = error.with_reason_metadata(key, value);
                    }
                    continue;
                }
            }
            Some(BadRequest::NAME) => {
                if let Ok(bad) = BadRequest::decode(bytes) {
                    for violation in bad.field_violations {
                        error = error.with_field_violation(violation.field, violation.description);
                    }
                    continue;
                }
            }
            Some(RetryInfo::NAME) => {
                let delay = RetryInfo::decode(bytes).ok().and_then(|info| info.retry_delay);
                if let Some(delay) = delay.and_then(|delay| Duration::try_from(delay).ok()) {
                    error = error.with_retry_delay(delay);
                    continue;
                }
            }
            _ => {}
        }
        error = error.with_any(any);
    }
    error
}

fn pack<M: Message>(detail: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::NAME), value: detail.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn an_error_comes_back_whole() {
        let error = Error::resource_exhausted("slow down")
            .with_reason("RATE", "demo")
            .with_reason_metadata("limit", "10")
            .with_field_violation("id", "must be above zero")
            .with_retry_delay(Duration::from_millis(1500))
            .with_detail(&prost_types::Timestamp { seconds: 1, nanos: 0 })
            .with_log("secret");
        let back = from_status(Status::decode(to_status(&error).encode_to_vec().as_slice()).unwrap());
        assert_eq!(back.code(), Code::ResourceExhausted);
        assert_eq!(back.message(), "slow down");
        let reason = Reason {
            reason: "RATE".into(),
            domain: "demo".into(),
            metadata: [("limit".to_owned(), "10".to_owned())].into(),
        };
        assert_eq!(back.reason(), Some(&reason));
        assert_eq!(back.field_violations(), error.field_violations());
        assert_eq!(back.retry_delay(), error.retry_delay());
        assert_eq!(back.detail::<prost_types::Timestamp>().unwrap().seconds, 1);
        assert!(!back.to_log().to_string().contains("secret"));
    }
}
