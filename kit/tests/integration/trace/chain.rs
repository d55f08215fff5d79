//! One trace through everything.

use std::{net::SocketAddr, time::Duration};

use kit::{
    Error,
    client::Channel,
    sql::{Database, DatabaseConfig, Schema, lock_key, on_pool},
    telemetry::reporter::{Destination, Reporter, ReporterConfig},
    trace::{Propagation, TraceConfig, Tracer},
};
use serde_json::Value;
use tracing::Instrument as _;

use super::{
    Calling, Serving, always,
    collector::{Collector, Step},
    schema::check_span,
};
use crate::{
    chat::proto::chat::{Chat as _, ChatClient},
    support::{Log, Running, line, request, saying},
};

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";

static SCHEMA: Schema =
    Schema { application: "trace", migrations_table: "trace_migrations", lock_key: lock_key("trace"), steps: &[] };

const UPPER: &str = "SELECT upper($1) -- a value: 'secret'\n WHERE 'secret' <> 'x' AND 12 > 3";

/// Says a line in capitals, which only its database can do.
async fn database(tracer: &Tracer) -> Running {
    let database = Database::connect(&DatabaseConfig::new("sqlite::memory:"), &SCHEMA).await.unwrap();
    let service = saying(move |_, said| {
        let database = database.clone();
        let work = async move {
            tracing::info!(letters = said.text.len(), "looking");
            tracing::debug!("of no interest");
            let upper: Result<String, _> = on_pool!(database, pool => {
                database.traced(UPPER, sqlx::query_scalar(UPPER).bind(&said.text).fetch_one(pool)).await
            });
            Ok::<_, Error>(line(&upper.map_err(database.failed("say it"))?))
        };
        work.instrument(tracing::info_span!("work", shelf = 7))
    });
    Running::serve(&service.with(&Serving(tracer.clone()))).await
}

/// Asks another service.
async fn front(tracer: &Tracer, behind: &Running) -> Running {
    let client = ChatClient::new(&Channel::new(&behind.grpc_url()).unwrap()).with(&Calling(tracer.clone()));
    let service = saying(move |cx, said| {
        let client = client.clone();
        async move { client.say(&cx, said).await }
    });
    Running::serve(&service.with(&Serving(tracer.clone()))).await
}

struct Spans(Vec<Value>);

impl Spans {
    fn one(&self, service: &str, kind: Option<&str>, name: &str) -> &Value {
        let mut found = self.0.iter().filter(|span| {
            span["localEndpoint"]["serviceName"] == service && span["kind"].as_str() == kind && span["name"] == name
        });
        let one = found.next().unwrap_or_else(|| panic!("no {kind:?} {name} of {service}: {:#?}", self.0));
        assert!(found.next().is_none(), "{name} twice");
        one
    }
}

/// Calls by HTTP with these headers, and gives back what the collector got.
async fn traced(propagation: Propagation, request_id: &str, headers: &[&str]) -> Spans {
    let collector = Collector::start(&[Step::Answer(202)]).await;
    let reporter = Reporter::start(&ReporterConfig::new(Destination::Zipkin, collector.url())).unwrap();
    let config = TraceConfig { propagation, ..always() };
    let listen = SocketAddr::from(([0, 0, 0, 0], 5001));
    let tracer = |name| Tracer::builder(&config, name).address(listen).export(reporter.exporter()).build();
    let (a, b) = (tracer("Front"), tracer("Back"));
    let behind = database(&b).await;
    let front = front(&a, &behind).await;

    let id = format!("x-request-id: {request_id}");
    let headers: Vec<&str> =
        ["content-type: application/json", &id].into_iter().chain(headers.iter().copied()).collect();
    let answer = request(front.http, "POST", "/v1/say", &headers, br#"{"text":"hush"}"#).await;
    assert_eq!((answer.status, answer.json()["text"].as_str()), (200, Some("HUSH")), "{}", answer.text());

    front.stopped().await.unwrap();
    behind.stopped().await.unwrap();
    let figures = reporter.shutdown(Duration::from_secs(60)).await;
    assert_eq!((figures.sent, figures.dropped), (5, 0));
    Spans(collector.spans())
}

/// What holds whatever the headers were.
fn check_all(spans: &Spans, trace_id: &str) {
    for span in &spans.0 {
        check_span(span);
        assert_eq!(span["traceId"], trace_id);
        assert_eq!(span["localEndpoint"]["port"], 5001);
        assert!(span["localEndpoint"]["ipv4"].is_null(), "an address to listen on is no address to be found at");
        let text = span.to_string();
        assert!(!text.contains("hush") && !text.contains("secret"), "{text}");
    }
    let served = spans.one("front", Some("SERVER"), "chat.chat/say");
    let called = spans.one("front", Some("CLIENT"), "chat.chat/say");
    let behind = spans.one("back", Some("SERVER"), "chat.chat/say");
    let work = spans.one("back", None, "work");
    let select = spans.one("back", Some("CLIENT"), "select");
    assert_eq!(called["parentId"], served["id"]);
    assert_eq!(work["parentId"], behind["id"]);
    assert_eq!(select["parentId"], work["id"]);

    for (span, transport, http) in [(served, "http", Value::from("200")), (behind, "grpc", Value::Null)] {
        let tags = &span["tags"];
        assert_eq!((&tags["rpc.service"], &tags["rpc.method"]), (&"chat.Chat".into(), &"Say".into()));
        assert_eq!((&tags["rpc.response.status_code"], &tags["transport"]), (&"OK".into(), &transport.into()));
        assert_eq!((&tags["http.status_code"], &tags["error"]), (&http, &Value::Null));
        assert_eq!(span["remoteEndpoint"]["ipv4"], "127.0.0.1");
        assert!(span["remoteEndpoint"]["port"].as_u64().unwrap() > 0);
        assert_eq!(span["annotations"], Value::Null, "the access log is not told twice");
    }
    assert_eq!(called["remoteEndpoint"]["serviceName"], "chat.chat");
    assert_eq!(called["tags"]["request.id"], served["tags"]["request.id"]);
    assert_eq!((&work["tags"]["shelf"], &work["annotations"][0]["value"]), (&"7".into(), &"looking letters=4".into()));
    assert_eq!(work["annotations"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&select["tags"]["db.system"], &select["remoteEndpoint"]["serviceName"]),
        (&"sqlite".into(), &"sqlite".into())
    );
    assert_eq!(select["tags"]["sql.query"], "SELECT upper($1) WHERE ? <> ? AND ? > ?");
}

#[tokio::test]
async fn with_b3_to_zipkin_server_and_client_share_a_span() {
    let log = Log::start();
    let parent = "05e3ac9a4f6e3b90";
    let (single, traced_multi) = (format!("b3: {TRACE}-{SPAN}-1-{parent}"), "trace-b3-multi");
    let multi = [
        format!("X-B3-TraceId: {TRACE}"),
        format!("X-B3-SpanId: {SPAN}"),
        format!("X-B3-ParentSpanId: {parent}"),
        "X-B3-Sampled: 1".to_owned(),
    ];
    let multi: Vec<&str> = multi.iter().map(String::as_str).collect();
    for (propagation, id, headers) in
        [(Propagation::B3, traced_multi, &multi[..]), (Propagation::B3Single, "trace-b3-single", &[&single])]
    {
        let spans = traced(propagation, id, headers).await;
        check_all(&spans, TRACE);
        let served = spans.one("front", Some("SERVER"), "chat.chat/say");
        let called = spans.one("front", Some("CLIENT"), "chat.chat/say");
        let behind = spans.one("back", Some("SERVER"), "chat.chat/say");
        assert_eq!(
            (&served["id"], &served["parentId"], &served["shared"]),
            (&SPAN.into(), &parent.into(), &true.into())
        );
        assert_eq!(
            (&behind["id"], &behind["parentId"], &behind["shared"]),
            (&called["id"], &SPAN.into(), &true.into())
        );
        assert_eq!(called["shared"], Value::Null);
    }
    // Every line of the call has its ids.
    let calls = log.wait_for_calls(traced_multi, 2).await;
    assert_eq!(calls.len(), 2);
    let lines = log.of(traced_multi);
    let looking = lines.iter().find(|line| line["message"] == "looking").unwrap();
    for line in &lines {
        assert_eq!((&line["trace_id"], line["span_id"].as_str().map(str::len)), (&TRACE.into(), Some(16)), "{line}");
    }
    assert!(calls.iter().any(|line| line["span_id"] == SPAN));
    assert!(
        calls.iter().all(|line| line["span_id"] != looking["span_id"]),
        "inside a span of its own it has that one's"
    );
}

#[tokio::test]
async fn with_w3c_every_side_has_a_span_of_its_own() {
    Log::start();
    let header = format!("traceparent: 00-{TRACE}-{SPAN}-01");
    let spans = traced(Propagation::W3c, "trace-w3c", &[&header, "tracestate: vendor=1"]).await;
    check_all(&spans, TRACE);
    let served = spans.one("front", Some("SERVER"), "chat.chat/say");
    let called = spans.one("front", Some("CLIENT"), "chat.chat/say");
    let behind = spans.one("back", Some("SERVER"), "chat.chat/say");
    assert_eq!((&served["parentId"], &served["shared"]), (&SPAN.into(), &Value::Null));
    assert_eq!((&behind["parentId"], &behind["shared"]), (&called["id"], &Value::Null));
}

#[tokio::test]
async fn an_id_of_64_bits_stays_one_and_without_headers_a_trace_begins() {
    Log::start();
    let short = "a3ce929d0e0e4736";
    let header = format!("b3: {short}-{SPAN}-1");
    check_all(&traced(Propagation::B3, "trace-short", &[&header]).await, short);

    let spans = traced(Propagation::B3, "trace-new", &[]).await;
    let served = spans.one("front", Some("SERVER"), "chat.chat/say");
    let trace_id = served["traceId"].as_str().unwrap();
    assert_eq!((trace_id.len(), &served["parentId"], &served["shared"]), (32, &Value::Null, &Value::Null));
    check_all(&spans, trace_id);
}
