use std::{future::Future as _, task::Poll};

use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    Code, Context, Endpoint, Method, MethodInfo, MethodKind, Request, Response, Streaming,
    layer::concurrency::{Concurrency, ConcurrencyLayer},
};

use std::sync::Arc;

fn method(kind: MethodKind) -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Say", kind))
}

/// Answers when it gets a permit of the semaphore.
fn slow(go: &Arc<Semaphore>) -> Endpoint<String, String> {
    let go = Arc::clone(go);
    Endpoint::from_fn(method(MethodKind::Unary), move |_, text: String| {
        let go = Arc::clone(&go);
        async move {
            go.acquire().await.unwrap().forget();
            match &*text {
                "fail" => Err(Error::not_found("not here")),
                "panic" => panic!("on purpose"),
                _ => Ok(text),
            }
        }
    })
}

fn request(text: &str) -> Request<String> {
    Request::new(Context::background(), text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn answers_errors_and_panics_give_the_permit_back() {
    let go = Arc::new(Semaphore::new(3));
    let one = Concurrency::new(&config(1, 0)).unwrap();
    let say = slow(&go).with(&one);
    assert_eq!(say.call(request("a")).await.unwrap().message(), "a");
    assert_eq!(say.call(request("fail")).await.unwrap_err().code(), Code::NotFound);
    let panicked = tokio::spawn(say.call(request("panic"))).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(one.figures().in_flight, 0);
}

/// For each number of times that a call is polled before it is dropped: nothing is left behind.
#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_anywhere() {
    for polls in 0..4 {
        let go = Arc::new(Semaphore::new(0));
        let one = Concurrency::new(&config(1, 4)).unwrap();
        let say = slow(&go).with(&one);
        let mut first = Box::pin(say.call(request("first")));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut dropped = Box::pin(say.call(request("dropped")));
        let mut last = Box::pin(say.call(request("last")));
        for poll in 0..polls {
            assert!(futures_util::poll!(&mut dropped).is_pending());
            assert!(futures_util::poll!(&mut last).is_pending());
            if poll == 1 {
                // From here on it runs.
                go.add_permits(1);
                (&mut first).await.unwrap();
            }
        }
        drop((dropped, first));
        go.add_permits(1);
        assert_eq!(last.await.unwrap().message(), "last");
        let figures = one.figures();
        assert_eq!((figures.in_flight, figures.queued), (0, 0), "after {polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_holds_its_permit_to_its_end() {
    let one = Concurrency::new(&config(1, 0)).unwrap();
    let count = Endpoint::from_fn(method(MethodKind::ServerStreaming), |_, (): ()| async {
        Ok(Streaming::from_iter(["a".to_owned(), "b".to_owned()]))
    });
    let count = count.with(&one);
    let call = || count.call(Request::new(Context::background(), ()));
    let mut lines = call().await.unwrap().into_message();
    assert_eq!(lines.message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(reason(&call().await.unwrap_err()), "CONCURRENCY_LIMIT");
    while lines.message().await.unwrap().is_some() {}
    drop(call().await.unwrap());
    assert_eq!(one.figures().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn one_limit_around_two_methods_counts_both() {
    let go = Arc::new(Semaphore::new(0));
    let one = Concurrency::new(&config(1, 0)).unwrap();
    let (a, b) = (slow(&go).with(&one), slow(&go).with(&one));
    let mut running = Box::pin(a.call(request("a")));
    assert!(futures_util::poll!(&mut running).is_pending());
    assert_eq!(b.call(request("b")).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn priority_comes_from_the_settings_or_the_context() {
    let go = Arc::new(Semaphore::new(0));
    let mut settings = config(2, 0);
    settings.priority.sheddable_share = 0.5;
    settings.priority.default = Priority::Sheddable;
    let two = Concurrency::new(&settings).unwrap();
    let say = slow(&go).with(&two);
    let mut running = Box::pin(say.call(request("a")));
    assert!(futures_util::poll!(&mut running).is_pending());
    say.call(request("b")).await.unwrap_err();
    let mut important = request("c");
    important.context_mut().set_extension(Priority::Critical);
    let mut important = Box::pin(say.call(important));
    assert!(futures_util::poll!(&mut important).is_pending());
    assert_eq!(two.figures().in_flight, 2);
    // Changed while it runs.
    drop(important);
    settings.priority = settings.priority.with_method("Say", Priority::Normal);
    two.reconfigure(&settings).unwrap();
    let mut second = Box::pin(say.call(request("d")));
    assert!(futures_util::poll!(&mut second).is_pending());
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_everything_passes() {
    let go = Arc::new(Semaphore::new(9));
    let say = slow(&go).layer(ConcurrencyLayer::none());
    say.call(request("a")).await.unwrap();
    assert!(ConcurrencyLayer::none().for_method(&method(MethodKind::Unary)).info().is_none());
}

#[tokio::test(start_paused = true)]
async fn settings_are_shown_and_changed_while_it_runs() {
    let go = Arc::new(Semaphore::new(0));
    let limit = Concurrency::new(&config(1, 4)).unwrap();
    let say = slow(&go).with(&limit);
    let info = &say.layers()[0];
    assert_eq!(
        (info.name(), &info.settings()["max"], &info.settings()["queue_timeout"]),
        ("concurrency", &json!(1), &json!("1s"))
    );
    let mut first = Box::pin(say.call(request("a")));
    let mut second = Box::pin(say.call(request("b")));
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    let state = info.state().unwrap();
    assert_eq!((&state["in_flight"], &state["queued"]), (&json!(1), &json!(1)));
    info.change(&json!({ "max": 2, "priority": { "methods": { "Say": "critical" } } })).unwrap();
    assert_eq!((limit.config().max, limit.config().queue), (2, 4));
    assert_eq!(limit.figures().in_flight, 2, "who waited began");
    for (wrong, why) in [
        (json!({ "max": 0 }), "concurrency.max must be at least 1"),
        (json!({ "most": 3 }), "concurrency.most: unknown field `most`"),
        (json!({ "priority": { "defualt": null } }), "concurrency.priority.defualt: unknown field"),
        (json!({ "priority": { "sheddable_share": 2 } }), "concurrency.priority.sheddable_share must be"),
        (json!(3), "a change is an object"),
    ] {
        let error = info.change(&wrong).unwrap_err();
        assert!(error.code() == Code::InvalidArgument && error.message().contains(why), "{error}");
    }
    assert_eq!(info.settings()["max"], json!(2));
    drop((first, second));
}

#[test]
fn what_can_not_be_is_refused_at_the_start() {
    let error = Concurrency::new(&config(0, 0)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().starts_with("concurrency.max must be at least 1"), "{error}");
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn figures_are_shown_and_keep_nothing_alive() {
    use crate::telemetry::metrics::{Format, Metrics, Side};
    let metrics = Metrics::new();
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let one = Concurrency::new(&config(1, 0)).unwrap();
    one.observe(&metrics, &method(MethodKind::Unary), Side::Server).unwrap();
    let go = Arc::new(Semaphore::new(0));
    let say = slow(&go).with(&one);
    let mut running = Box::pin(say.call(request("a")));
    assert!(futures_util::poll!(&mut running).is_pending());
    say.call(request("b")).await.unwrap_err();
    for line in [
        r#"kit_concurrency_limit{rpc_method="Say",rpc_service="demo.Demo",side="server"} 1"#,
        r#"kit_concurrency_in_flight{rpc_method="Say",rpc_service="demo.Demo",side="server"} 1"#,
        r#"kit_concurrency_rejected_total{reason="full",rpc_method="Say",rpc_service="demo.Demo",side="server"} 1"#,
    ] {
        assert!(text().contains(line), "{line} is not in {}", text());
    }
    drop((running, say, one));
    assert!(text().contains(r#"kit_concurrency_limit{rpc_method="Say",rpc_service="demo.Demo",side="server"} 0"#));
}

/// A service that is ready once: the one that was found ready has to be called, not a clone of it.
#[derive(Default)]
struct Once {
    ready: bool,
}

impl Clone for Once {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl tower::Service<Request<String>> for Once {
    type Response = Response<String>;
    type Error = Error;
    type Future = std::future::Ready<Result<Response<String>, Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called though it was not ready");
        std::future::ready(Ok(Response::new(request.into_parts().1)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_is_ready_waits_with_its_call() {
    use tower::{Layer as _, Service as _, ServiceExt};
    let one = Concurrency::new(&config(1, 4)).unwrap();
    let permit = enter(&one.limiter, Priority::Normal).admitted();
    let mut service = ConcurrencyLayer::new(&one).layer(Once::default());
    let mut call = Box::pin(ServiceExt::<Request<String>>::ready(&mut service).await.unwrap().call(request("a")));
    assert!(std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await.is_pending());
    drop(permit);
    assert_eq!(call.await.unwrap().message(), "a");
}
