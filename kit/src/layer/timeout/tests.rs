use std::{future::Future, time::Duration};

use super::*;
use crate::{Class, Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Payload, Request, Streaming};

const SECOND: Duration = Duration::from_secs(1);

fn endpoint<Res, F, Fut>(layer: &TimeoutLayer, answer: F) -> Endpoint<String, Res>
where
    Res: Payload,
    F: Fn(Context) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Res, Error>> + Send + 'static,
{
    let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
    Endpoint::from_fn(method, move |cx: Context, _: String| answer(cx)).layer(layer.clone())
}

fn request(timeout: Option<Duration>) -> Request<String> {
    let cx = Context::background();
    Request::new(timeout.into_iter().fold(cx, Context::with_timeout), String::new())
}

/// How a call ends whose handler never does.
async fn unanswered(layer: TimeoutLayer, timeout: Option<Duration>) -> (Code, Class) {
    let endpoint = endpoint(&layer, |_| std::future::pending::<Result<String, Error>>());
    let error = endpoint.call(request(timeout)).await.unwrap_err();
    (error.code(), error.class())
}

/// How a stream ends that never does by itself.
async fn cut(layer: TimeoutLayer, timeout: Option<Duration>) -> (Code, Class) {
    let endless = |_| async { Ok(Streaming::<String>::new(futures_util::stream::pending())) };
    let mut stream = endpoint(&layer, endless).call(request(timeout)).await.unwrap().into_message();
    let error = stream.message().await.unwrap_err();
    (error.code(), error.class())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_callers_is_no_fault_of_ours() {
    let (ours, server, client) = (Some(2 * SECOND), TimeoutLayer::server, TimeoutLayer::client);
    for (layer, theirs, class) in [
        (server(ours), None, Class::Fault),
        (server(ours), Some(3 * SECOND), Class::Fault),
        (server(ours), Some(SECOND), Class::Cancelled),
        (server(None), Some(SECOND), Class::Cancelled),
        (client(ours), None, Class::Fault),
        (client(ours), Some(SECOND), Class::Fault),
    ] {
        assert_eq!(unanswered(layer.clone(), theirs).await, (Code::DeadlineExceeded, class), "{layer:?} {theirs:?}");
        assert_eq!(cut(layer.clone(), theirs).await, (Code::DeadlineExceeded, class), "{layer:?} {theirs:?}");
    }
    // What had passed before it began, as `grpc-timeout: 1n` does.
    let nothing = Some(Duration::ZERO);
    assert_eq!(unanswered(server(ours), nothing).await, (Code::DeadlineExceeded, Class::Cancelled));
    assert_eq!(unanswered(client(ours), nothing).await, (Code::DeadlineExceeded, Class::Fault));
}

/// How a call of a service ends that waits for an upstream as long as it may, or for a time of its own.
async fn behind(limit: Option<Duration>, timeout: Option<Duration>, own: Option<Duration>) -> Class {
    let upstream = endpoint(&TimeoutLayer::client(None), |_| std::future::pending::<Result<String, Error>>());
    let ask = move |cx: Context| {
        let upstream = upstream.clone();
        let cx = own.into_iter().fold(cx, Context::with_timeout);
        async move { upstream.call_next(&cx, String::new()).await }
    };
    let error = endpoint(&TimeoutLayer::server(limit), ask).call(request(timeout)).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    error.class()
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_had_no_time_is_no_fault_and_one_that_is_slow_is() {
    assert_eq!(behind(Some(2 * SECOND), Some(SECOND), None).await, Class::Cancelled);
    assert_eq!(behind(Some(2 * SECOND), None, None).await, Class::Fault);
    assert_eq!(behind(Some(2 * SECOND), Some(SECOND), Some(SECOND / 2)).await, Class::Fault);
}

#[tokio::test(start_paused = true)]
async fn a_service_in_this_process_that_had_our_time_does_not_excuse_us() {
    let inner = endpoint(&TimeoutLayer::server(None), |_| std::future::pending::<Result<String, Error>>());
    let ask = move |cx: Context| {
        let inner = inner.clone();
        async move { inner.call_next(&cx, String::new()).await }
    };
    let error = endpoint(&TimeoutLayer::server(Some(SECOND)), ask).call(request(None)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), (Code::DeadlineExceeded, Class::Fault));
}

#[tokio::test(start_paused = true)]
async fn errors_of_other_codes_stay_as_they_are() {
    let refuse = |_| async { Err::<String, _>(Error::deadline_exceeded("no time").as_rejection()) };
    let layer = TimeoutLayer::server(Some(SECOND));
    let error = endpoint(&layer, refuse).call(request(None)).await.unwrap_err();
    assert_eq!(error.class(), Class::Rejected);
    let fail = |_| async { Err::<String, _>(Error::internal("broken")) };
    let error = endpoint(&layer, fail).call(request(None)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), (Code::Internal, Class::Fault));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_goes_silent_is_a_fault_and_a_request_that_does_is_none() {
    let idle = TimeoutLimits::new(None, Some(SECOND));
    for layer in [TimeoutLayer::server(idle.clone()), TimeoutLayer::client(idle)] {
        let silent = |_| async { Ok(Streaming::<String>::new(futures_util::stream::pending())) };
        let mut answers = endpoint(&layer, silent).call(request(None)).await.unwrap().into_message();
        let error = answers.message().await.unwrap_err();
        assert_eq!((error.code(), error.class()), (Code::DeadlineExceeded, Class::Fault));
        assert_eq!(error.message(), "no message of the answer came for 1s");

        let method = Method::from(MethodInfo::new("demo.Demo", "Send", MethodKind::ClientStreaming));
        let count = Endpoint::from_fn(method, |_, mut said: Streaming<String>| async move {
            while said.message().await?.is_some() {}
            Ok(String::new())
        });
        let (sender, said) = Streaming::channel(1);
        sender.send(Ok("hello".to_owned())).await.unwrap();
        let error = count.layer(layer).call(Request::new(Context::background(), said)).await.unwrap_err();
        assert_eq!((error.code(), error.class()), (Code::Cancelled, Class::Cancelled));
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_change_hold_for_the_next_call() {
    let limits = TimeoutLimits::new(Some(SECOND), None);
    let endpoint = endpoint(&TimeoutLayer::server(limits.clone()), |_| std::future::pending::<Result<String, Error>>());
    let took = async || {
        let start = tokio::time::Instant::now();
        endpoint.call(request(None)).await.unwrap_err();
        start.elapsed()
    };
    let running = async {
        limits.set(Some(3 * SECOND), None);
    };
    let (before, ()) = tokio::join!(took(), running);
    assert_eq!((before, took().await), (SECOND, 3 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_about_as_much_as_we_take_found_a_service_that_is_too_slow() {
    // As two programs with the same settings do: the caller's deadline is a moment earlier, always.
    let layer = TimeoutLayer::server(Some(10 * SECOND));
    let almost = Some(10 * SECOND - Duration::from_millis(1));
    assert_eq!(unanswered(layer.clone(), almost).await, (Code::DeadlineExceeded, Class::Fault));
    assert_eq!(unanswered(layer, Some(5 * SECOND)).await, (Code::DeadlineExceeded, Class::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_in_a_hurry_left_is_no_fault_of_those_further_on() {
    let seen = |theirs: Option<Duration>, own: Option<Duration>| async move {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let upstream = endpoint(&TimeoutLayer::client(Some(10 * SECOND)), move |cx| {
            tell.send(cx.deadline_excuses()).unwrap();
            async { Ok(String::new()) }
        });
        let ask = move |cx: Context| {
            let upstream = upstream.clone();
            let cx = own.into_iter().fold(cx, Context::with_timeout);
            async move { upstream.call_next(&cx, String::new()).await }
        };
        endpoint(&TimeoutLayer::server(Some(10 * SECOND)), ask).call(request(theirs)).await.unwrap();
        told.recv().unwrap()
    };
    assert!(!seen(None, None).await);
    assert!(!seen(Some(9 * SECOND), None).await);
    assert!(seen(Some(SECOND), None).await);
    // Half of what is left, for the way back; a time of our own is our own choice.
    assert!(seen(Some(SECOND), Some(SECOND / 2)).await);
    assert!(!seen(Some(SECOND), Some(SECOND / 100)).await);
}
