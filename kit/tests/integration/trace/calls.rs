//! Spans of calls: how they end, and whose headers count.

use std::sync::{Arc, Mutex};

use kit::{
    Context, Error, Metadata, Streaming,
    client::Channel,
    trace::{Propagation, Sample, TraceConfig, Tracer},
};

use super::{Calling, Serving, recording};
use crate::{
    chat::proto::chat::{Chat as _, ChatClient, CountRequest},
    support::{Running, counting, line, request, room, saying, soon},
};

#[tokio::test]
async fn what_went_wrong_and_whose_fault_it_is() {
    let (tracer, spans) = recording("test");
    for (answer, code, error) in [
        (Error::internal("broken").with_log("secret"), "INTERNAL", Some("INTERNAL: broken")),
        (Error::unavailable("away"), "UNAVAILABLE", Some("UNAVAILABLE: away")),
        (Error::not_found("no such line"), "NOT_FOUND", None),
    ] {
        let answer = Mutex::new(Some(answer));
        let answer = Arc::new(answer);
        let service = saying(move |_, _| {
            let answer = answer.lock().unwrap().take().unwrap();
            async move { Err(answer) }
        });
        service.with(&Serving(tracer.clone())).say(&Context::background(), line("")).await.unwrap_err();
        let span = spans.spans().pop().unwrap();
        assert_eq!((span.tag("rpc.response.status_code"), span.tag("error")), (Some(code), error));
        assert_eq!((span.tag("transport"), span.tag("cancelled")), (Some("local"), None));
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled() {
    let (tracer, spans) = recording("test");
    let service = saying(|_, _| std::future::pending()).with(&Serving(tracer));
    let cx = Context::background();
    let mut call = Box::pin(service.say(&cx, line("")));
    assert!(futures_util::poll!(&mut call).is_pending());
    assert!(spans.spans().is_empty());
    drop(call);
    let [span] = spans.spans().try_into().unwrap();
    assert_eq!((span.tag("rpc.response.status_code"), span.tag("cancelled")), (Some("CANCELLED"), Some("true")));
}

#[tokio::test]
async fn a_span_lasts_as_long_as_its_stream() {
    let (tracer, spans) = recording("test");
    let (sent, lines) = Streaming::channel(1);
    let lines = Arc::new(Mutex::new(Some(lines)));
    let service = counting(move |_, _| {
        let lines = lines.lock().unwrap().take();
        async move { lines.ok_or_else(|| Error::internal("only once")) }
    });
    let service = service.with(&Serving(tracer.clone()));
    let mut stream = service.count(&Context::background(), CountRequest { to: 1 }).await.unwrap();
    sent.send(Ok(line("1"))).await.unwrap();
    assert_eq!(stream.message().await.unwrap(), Some(line("1")));
    assert!(spans.spans().is_empty());
    sent.send(Err(Error::internal("broke"))).await.unwrap();
    stream.message().await.unwrap_err();
    assert_eq!(spans.spans()[0].tag("error"), Some("INTERNAL: broke"));

    // What the stream does, it does inside the span; and who stops reading cancels.
    let service = counting(|_, _| async {
        Ok(Streaming::new(futures_util::stream::poll_fn(|_| {
            drop(kit::endpoint::current::child_span("item"));
            std::task::Poll::Ready(Some(Ok(line("again"))))
        })))
    });
    let service = service.with(&Serving(tracer));
    let mut stream = service.count(&Context::background(), CountRequest { to: 1 }).await.unwrap();
    stream.message().await.unwrap();
    drop(stream);
    let [_, item, call] = spans.spans().try_into().unwrap();
    assert_eq!((&*item.name, item.context.parent_id()), ("item", Some(call.context.span_id())));
    assert_eq!(call.tag("cancelled"), Some("true"));
}

#[tokio::test]
async fn a_stream_over_http_has_the_status_that_its_caller_saw() {
    for waits in [false, true] {
        let (tracer, spans) = recording("test");
        let service = counting(move |_, _| async move {
            let fail = async move {
                if waits {
                    tokio::task::yield_now().await;
                }
                Err(Error::not_found("no such number"))
            };
            Ok(Streaming::new(futures_util::stream::once(fail)))
        });
        let running = Running::serve(&service.with(&Serving(tracer))).await;
        let answer = soon(request(running.http, "GET", "/v1/count/1", &[], b"")).await;
        let [span] = soon(spans.wait_for(1)).await.try_into().unwrap();
        assert_eq!(answer.status, if waits { 200 } else { 404 });
        assert_eq!(span.tag("http.status_code"), Some(&*answer.status.to_string()));
        assert_eq!(span.tag("rpc.response.status_code"), Some("NOT_FOUND"));
    }
}

#[tokio::test]
async fn a_call_inside_the_process_is_part_of_the_trace() {
    let (outer, outer_spans) = recording("outer");
    let (inner, inner_spans) = recording("inner");
    let behind = room().with(&Serving(inner)).with(&Calling(outer.clone()));
    let service = saying(move |cx, said| {
        let behind = behind.clone();
        async move {
            let span = cx.child_span("own");
            behind.say(&cx.with_span(span.span()), said).await
        }
    });
    service.with(&Serving(outer)).say(&Context::background(), line("x")).await.unwrap();
    let [called, own, served] = outer_spans.spans().try_into().unwrap();
    let [behind] = inner_spans.spans().try_into().unwrap();
    assert_eq!(own.context.parent_id(), Some(served.context.span_id()));
    assert_eq!(called.context.parent_id(), Some(own.context.span_id()));
    assert_eq!((behind.context.span_id(), behind.shared), (called.context.span_id(), true));
    assert_eq!((behind.local.service_name(), called.local.service_name()), (Some("inner"), Some("outer")));
}

/// Sends a request through a service with this tracer to one that keeps the headers that it gets.
async fn through(tracer: &Tracer, headers: &[&str]) -> Metadata {
    let seen = Arc::new(Mutex::new(Metadata::new()));
    let heard = Arc::clone(&seen);
    let behind = Running::serve(&saying(move |cx, said| {
        *heard.lock().unwrap() = cx.metadata().clone();
        async move { Ok(said) }
    }))
    .await;
    let client = ChatClient::new(&Channel::new(&behind.grpc_url()).unwrap()).with(&Calling(tracer.clone()));
    let front = saying(move |cx, said| {
        let client = client.clone();
        async move { client.say(&cx, said).await }
    });
    let front = Running::serve(&front.with(&Serving(tracer.clone()))).await;
    let headers: Vec<&str> = ["content-type: application/json"].iter().chain(headers).copied().collect();
    let answer = soon(request(front.http, "POST", "/v1/say", &headers, br#"{"text":"x"}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    seen.lock().unwrap().clone()
}

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";

#[tokio::test]
async fn forged_headers_are_counted_and_go_no_further() {
    let never = TraceConfig { sample: Sample::Never, trusted_networks: Vec::new(), ..TraceConfig::default() };
    let spans = kit::trace::Memory::new();
    let tracer = Tracer::builder(&never, "test").export(Some(spans.clone())).build();
    let debug = ["x-b3-traceid: 463ac35c9f6413ad48485a3953bb6124", "x-b3-spanid: a2fb4a1d1a96d312", "x-b3-flags: 1"];
    let sent = through(&tracer, &debug).await;
    assert_eq!(
        (sent.get("x-b3-traceid"), sent.get("x-b3-sampled"), sent.get("x-b3-flags")),
        (Some(TRACE), Some("0"), None)
    );
    assert_eq!((spans.spans().len(), tracer.figures().refused), (0, 1));
    // Trusted, the same headers are obeyed.
    let trusting = TraceConfig { sample: Sample::Never, ..TraceConfig::default() };
    let tracer = Tracer::builder(&trusting, "test").export(Some(spans.clone())).build();
    let sent = through(&tracer, &debug).await;
    assert_eq!((sent.get("x-b3-flags"), sent.get("x-b3-sampled")), (Some("1"), None));
    assert_eq!((soon(spans.wait_for(2)).await.len(), tracer.figures().refused), (2, 0));
}

#[tokio::test]
async fn malformed_headers_are_counted_and_harm_nothing() {
    let (tracer, _) = recording("test");
    let wrong =
        ["traceparent: 00-nonsense", "b3: \u{1F980}", "x-b3-traceid: 1", "x-b3-sampled: maybe", "tracestate: ,,,"];
    let sent = through(&tracer, &wrong).await;
    assert_eq!(tracer.figures().malformed, 3);
    assert_eq!((sent.get("traceparent"), sent.get("b3"), sent.get("tracestate")), (None, None, None));
    assert_eq!((sent.get("x-b3-traceid").map(str::len), sent.get("x-b3-sampled")), (Some(32), Some("1")));
}

#[tokio::test]
async fn one_format_comes_in_and_another_goes_out() {
    for (propagation, expected) in [
        (Propagation::B3, &["x-b3-parentspanid", "x-b3-sampled", "x-b3-spanid", "x-b3-traceid"][..]),
        (Propagation::B3Single, &["b3"]),
        (Propagation::W3c, &["traceparent", "tracestate"]),
    ] {
        let config = TraceConfig { propagation, ..super::always() };
        let tracer = Tracer::builder(&config, "test").export(Some(kit::trace::Memory::new())).build();
        let sent = through(
            &tracer,
            &[&format!("traceparent: 00-{TRACE}-a2fb4a1d1a96d312-01"), "tracestate: a=1", "x-b3-sampled: 1"],
        )
        .await;
        let mut names: Vec<&str> =
            sent.iter().map(|(name, _)| name).filter(|name| name.contains("b3") || name.starts_with("trace")).collect();
        names.sort_unstable();
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn without_a_tracer_headers_go_on_as_they_came() {
    let header = format!("b3: {TRACE}-a2fb4a1d1a96d312-1");
    let sent = through(&Tracer::disabled(), &[&header, "x-b3-sampled: 1"]).await;
    assert_eq!((sent.get("b3"), sent.get("x-b3-sampled")), (header.strip_prefix("b3: "), Some("1")));
}
