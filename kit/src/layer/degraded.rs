//! Answers that are not the ones that were asked for, but better than an error.

use crate::{Class, Code, Context, Error, Metadata};

/// The metadata of an answer that was given in the place of one that was not to be had; its value says which: `fallback`,
/// or `stale-if-error`.
pub const DEGRADED: &str = "x-degraded";

/// Whether an error says that the service, or the way to it, is not well: a fault, one that passes, a refusal of a layer of ours, a
/// deadline. Never what is the caller's own, nor that it went away.
pub(super) fn is_outage(error: &Error) -> bool {
    error.is_refusal()
        || error.code() == Code::DeadlineExceeded
        || matches!(error.class(), Class::Fault | Class::Transient)
}

/// Notes in metadata that the answer is one of those.
pub(super) fn mark(metadata: &mut Metadata, what: &'static str) {
    let (name, value) = (http::HeaderName::from_static(DEGRADED), http::HeaderValue::from_static(what));
    metadata.set(name, value);
}

/// Tells the span of the call, if it is recorded.
pub(super) fn tell(cx: &Context, what: impl FnOnce() -> String) {
    #[cfg(feature = "trace")]
    if let Some(span) = cx.span().filter(|span| span.is_recorded()) {
        span.annotate(what());
    }
    #[cfg(not(feature = "trace"))]
    let _ = (cx, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_never_the_callers_mistake() {
        for (error, is) in [
            (Error::unavailable(""), true),
            (Error::internal(""), true),
            (Error::deadline_exceeded(""), true),
            (Error::deadline_exceeded("").of_class(Some(Class::Cancelled)), true),
            (Error::resource_exhausted("").as_rejection(), true),
            (Error::unavailable("").as_rejection(), true),
            (Error::resource_exhausted(""), false),
            (Error::invalid_argument(""), false),
            (Error::not_found(""), false),
            (Error::permission_denied(""), false),
            (Error::cancelled(""), false),
        ] {
            assert_eq!(is_outage(&error), is, "{error}");
        }
    }
}
