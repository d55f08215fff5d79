//! One trace from the caller through details and comments down to both databases.

use kit::{telemetry::reporter::Destination, trace::Sample};
use serde_json::Value;

use crate::{
    collector::{Collector, Step},
    schema::check_span,
    support::{Demo, get},
};

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";
const PARENT: &str = "05e3ac9a4f6e3b90";

/// The only span of a service, a kind and a name.
fn one<'a>(spans: &'a [Value], service: &str, kind: &str, name: &str) -> &'a Value {
    let is =
        |span: &&Value| span["localEndpoint"]["serviceName"] == service && span["kind"] == kind && span["name"] == name;
    let found: Vec<&Value> = spans.iter().filter(is).collect();
    let [one] = found.as_slice() else { panic!("{} {kind} {name} of {service}: {spans:#?}", found.len()) };
    one
}

/// The spans of a call that asks both services, with these headers.
async fn traced(sample: Sample, headers: &[&str]) -> Vec<Value> {
    let collector = Collector::start(&[Step::Answer(202)]).await;
    let demo = Demo::start(|config| {
        for telemetry in [&mut config.details.telemetry, &mut config.comments.telemetry] {
            telemetry.trace.sample = sample;
            (telemetry.spans.to, telemetry.spans.url) = (Destination::Zipkin, collector.url());
        }
    })
    .await;
    let answer = get(demo.addresses.details_http, "/v1/detail?id=1", headers).await;
    assert_eq!((answer.status, answer.body.matches("createdAt").count()), (200, 3), "{}", answer.body);
    demo.stop().await;
    collector.spans()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_is_one_trace_from_the_caller_to_both_databases() {
    let headers = [
        format!("X-B3-TraceId: {TRACE}"),
        format!("X-B3-SpanId: {SPAN}"),
        format!("X-B3-ParentSpanId: {PARENT}"),
        "X-B3-Sampled: 1".to_owned(),
    ];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    // A caller that is trusted decides, whatever the services would do by themselves.
    for sample in [Sample::Always, Sample::Never] {
        let spans = traced(sample, &headers).await;
        for span in &spans {
            check_span(span);
            assert_eq!(span["traceId"], TRACE, "{span:#}");
        }
        let served = one(&spans, "details", "SERVER", "details.bookdetails/detail");
        let called = one(&spans, "details", "CLIENT", "comments.bookcomments/get");
        let behind = one(&spans, "comments", "SERVER", "comments.bookcomments/get");
        let book = one(&spans, "details", "CLIENT", "select");
        let list = one(&spans, "comments", "CLIENT", "select");
        assert_eq!(spans.len(), 5, "{spans:#?}");

        // Both sides of a call over the network are one span to Zipkin.
        assert_eq!([&served["id"], &served["parentId"]], [SPAN, PARENT]);
        assert_eq!(called["parentId"], SPAN);
        assert_eq!([&behind["id"], &behind["parentId"]], [&called["id"], &called["parentId"]]);
        assert_eq!([&served["shared"], &behind["shared"]], [true, true]);
        assert_eq!(called["shared"], Value::Null);
        assert_eq!((&book["parentId"], &list["parentId"]), (&served["id"], &behind["id"]));
        assert_eq!([&served["tags"]["transport"], &behind["tags"]["transport"]], ["http", "grpc"]);

        for (span, table) in [(book, "details_books"), (list, "comments_comments")] {
            let statement = span["tags"]["sql.query"].as_str().unwrap();
            assert!(statement.starts_with("SELECT ") && statement.contains(table), "{statement}");
            assert!(statement.contains("id = $1"), "the number of the book is no part of it: {statement}");
            assert_eq!(span["tags"]["db.system"], "sqlite");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_its_caller_does_not_want_recorded_is_not() {
    let header = format!("b3: {TRACE}-{SPAN}-0");
    assert_eq!(traced(Sample::Always, &[&header]).await, [] as [Value; 0]);
}
