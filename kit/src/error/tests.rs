use super::*;

#[test]
fn a_boxed_error_comes_out_whole() {
    let boxed: Source = Box::new(Error::not_found("gone").with_retry_delay(Duration::from_secs(1)));
    let error = Error::from(boxed);
    assert_eq!((error.code(), error.retry_delay()), (Code::NotFound, Some(Duration::from_secs(1))));
    assert_eq!(Error::from(Source::from("secret")).message(), "internal error");
}

#[test]
fn the_caller_never_sees_what_is_for_the_log() {
    let error = Error::internal("internal error").with_log("password=1").with_source("disk on fire");
    assert_eq!(error.to_string(), "INTERNAL: internal error");
    assert_eq!(error.to_log().to_string(), "INTERNAL: internal error (password=1): disk on fire");
}

#[test]
fn a_refusal_of_our_own_is_no_fault() {
    assert!(Error::unavailable("down").is_fault());
    let refused = Error::unavailable("open").as_rejection();
    assert_eq!((refused.class(), refused.is_fault()), (Class::Rejected, false));
}

#[test]
fn ok_is_no_error() {
    assert_eq!(Error::new(Code::Ok, "what?").code(), Code::Unknown);
}
