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
