//! Collectors over real connections: whatever they do, calls go on.

use std::{collections::HashMap, time::Duration};

use kit::{
    Context,
    client::Channel,
    telemetry::reporter::{Destination, Reporter, ReporterConfig},
    trace::{Kind, Tracer},
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tokio::net::TcpListener;

use super::{
    Serving, always,
    collector::{Collector, Step},
    schema::check_span,
};
use crate::{
    chat::proto::chat::{Chat as _, ChatClient},
    support::{Running, line, room, soon},
};

/// Quick pauses and small sizes: what is tested happens in milliseconds.
fn config(to: Destination, url: String) -> ReporterConfig {
    ReporterConfig {
        queue: 20,
        batch: 10,
        interval: Duration::from_millis(1),
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
        ..ReporterConfig::new(to, url)
    }
}

fn tracer(reporter: &Reporter) -> Tracer {
    Tracer::builder(&always(), "test").export(reporter.exporter()).build()
}

/// Every call is answered, over a real connection.
async fn call(tracer: &Tracer, count: usize) {
    let server = Running::serve(&room().with(&Serving(tracer.clone()))).await;
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    for _ in 0..count {
        assert_eq!(soon(client.say(&Context::background(), line("a"))).await.unwrap().text, "A");
    }
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_collector_that_never_answers_does_no_harm() {
    let collector = Collector::start(&[Step::Never]).await;
    let reporter = Reporter::start(&config(Destination::Zipkin, collector.url())).unwrap();
    let tracer = tracer(&reporter);
    call(&tracer, 1).await;
    collector.wait_for_requests(1).await;
    call(&tracer, 100).await;
    let figures = reporter.figures();
    assert_eq!((figures.sent, figures.queued + figures.dropped), (0, 101));
    assert!(figures.queued <= 30, "the queue and one batch: {figures:?}");
    let figures = soon(reporter.shutdown(Duration::from_millis(50))).await;
    assert_eq!((figures.sent, figures.queued, figures.dropped), (0, 0, 101));
}

#[tokio::test]
async fn a_collector_that_recovers_gets_everything() {
    let troubles = [Step::Answer(500), Step::Answer(503), Step::Cut, Step::Answer(429), Step::Answer(202)];
    let collector = Collector::start(&troubles).await;
    let reporter = Reporter::start(&config(Destination::Zipkin, collector.url())).unwrap();
    call(&tracer(&reporter), 15).await;
    collector.wait_for_requests(6).await;
    let figures = soon(reporter.shutdown(Duration::from_secs(60))).await;
    assert_eq!((figures.sent, figures.dropped, figures.failed_batches), (15, 0, 0));
    let spans = collector.spans();
    spans.iter().for_each(check_span);
    assert_eq!(spans.len(), 15);
}

#[tokio::test]
async fn a_collector_that_is_not_there_does_no_harm() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let reporter = Reporter::start(&config(Destination::Zipkin, url)).unwrap();
    call(&tracer(&reporter), 100).await;
    let figures = soon(reporter.shutdown(Duration::from_secs(60))).await;
    assert_eq!((figures.sent, figures.queued, figures.dropped), (0, 0, 100));
    assert!(figures.failed_batches > 0);
}

#[tokio::test]
async fn requests_are_what_zipkin_takes() {
    let collector = Collector::start(&[Step::Answer(202)]).await;
    let url = format!("http://me:p%40ss@{}/base/", collector.address);
    let reporter = Reporter::start(&config(Destination::Zipkin, url)).unwrap();
    drop(tracer(&reporter).start("job"));
    soon(reporter.shutdown(Duration::from_secs(60))).await;
    let [request] = collector.taken().try_into().unwrap();
    for line in [
        "post /base/api/v2/spans http/1.1",
        "content-type: application/json",
        "content-encoding: gzip",
        "b3: 0",
        // "me:p@ss", in lower case as the rest of the head.
        "authorization: basic bwu6cebzcw==",
    ] {
        assert!(request.head.lines().any(|found| found == line), "{line}: {}", request.head);
    }
    assert!(request.head.contains(&format!("host: {}", collector.address)), "{}", request.head);
}

#[tokio::test]
async fn otlp_carries_the_same_spans() {
    let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: "one too many".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let collector = Collector::answering(&[Step::Answer(200)], answer).await;
    // A long interval, so that both spans go in one request.
    let config = ReporterConfig { interval: Duration::from_secs(60), ..config(Destination::Otlp, collector.url()) };
    let reporter = Reporter::start(&config).unwrap();
    let job = tracer(&reporter).start("Job");
    let step = job.child("step").with_kind(Kind::Client).with_remote("redis", Some("10.0.0.1:6379".parse().unwrap()));
    step.tag("key", "old");
    step.tag("key", "new");
    step.annotate("retried");
    step.fail("lost");
    let (job_id, trace_id) = (job.span().unwrap().context().span_id(), job.span().unwrap().context().trace_id());
    drop(step);
    drop(job);
    let figures = soon(reporter.shutdown(Duration::from_secs(60))).await;
    assert_eq!((figures.sent, figures.dropped), (1, 1), "one was refused");

    let [request] = collector.taken().try_into().unwrap();
    assert!(request.head.starts_with("post /v1/traces http/1.1"), "{}", request.head);
    assert!(request.head.contains("content-type: application/x-protobuf"), "{}", request.head);
    let sent = ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
    let [resource] = sent.resource_spans.try_into().unwrap();
    let text = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]| -> HashMap<String, String> {
        attributes.iter().map(|one| (one.key.clone(), format!("{:?}", one.value))).collect()
    };
    assert!(text(&resource.resource.unwrap().attributes)["service.name"].contains("\"test\""));
    let [step, job] = resource.scope_spans[0].spans.clone().try_into().unwrap();
    assert_eq!((&*step.name, step.kind, &*job.name, job.kind), ("step", 3, "Job", 1));
    assert_eq!((&step.trace_id[..], &step.parent_span_id[..]), (trace_id.bytes(), job_id.bytes()));
    assert_eq!((&job.span_id[..], job.parent_span_id.len()), (job_id.bytes(), 0));
    assert!(step.end_time_unix_nano >= step.start_time_unix_nano && step.start_time_unix_nano > 0);
    assert_eq!(step.events[0].name, "retried");
    assert_eq!(step.status.map(|status| (status.code, status.message)), Some((2, "lost".to_owned())));
    let attributes = text(&step.attributes);
    assert_eq!(attributes.len(), step.attributes.len(), "names are unique");
    assert!(attributes["key"].contains("\"new\"") && attributes["peer.service"].contains("\"redis\""));
    assert!(attributes["network.peer.port"].contains("6379"));
}

#[tokio::test]
async fn settings_that_cannot_work_stop_the_start() {
    for url in ["zipkin:9411", "ftp://zipkin", "http://user:pa/ss@zipkin"] {
        let error = Reporter::start(&config(Destination::Zipkin, url.to_owned())).unwrap_err();
        assert!(error.message().starts_with("spans.url ") && !error.message().contains("pa/ss"), "{error}");
    }
    let missing =
        ReporterConfig { ca: Some("/nowhere".into()), ..config(Destination::Zipkin, "https://zipkin".into()) };
    let error = Reporter::start(&missing).unwrap_err();
    assert!(error.message().contains("/nowhere"), "{error}");
}
