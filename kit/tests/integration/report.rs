//! Error reports: what is in them, what secrets are not, and that no call waits for them.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use kit::{
    Code, Context, Endpoint, Error, LayerInfo, Metadata, Method, MethodInfo, MethodKind, Payload, Request, RequestId,
    Streaming,
    layer::{recover::RecoverLayer, report::ReportLayer, trace::TraceLayer},
    telemetry::report::{ErrorReport, ErrorReporter, ErrorReports, ReportConfig},
    trace::{TraceConfig, Tracer},
};
use prost_types::{Struct, Value as ProtoValue, value::Kind};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::soon;

struct Told(SyncSender<ErrorReport>);

impl ErrorReporter for Told {
    fn report(&self, report: ErrorReport) {
        let _ = self.0.send(report);
    }
}

fn started(config: &ReportConfig) -> (ErrorReports, Receiver<ErrorReport>) {
    let (sender, told) = sync_channel(100);
    (ErrorReports::start(config, Told(sender)).unwrap(), told)
}

/// The report that must come.
async fn next(told: &Receiver<ErrorReport>) -> ErrorReport {
    soon(async {
        loop {
            match told.try_recv() {
                Ok(report) => return report,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

fn method(name: &'static str, kind: MethodKind) -> Method {
    MethodInfo::new("shop.Shop", name, kind).into()
}

fn object(fields: &[(&str, &str)]) -> Struct {
    let text = |text: &str| ProtoValue { kind: Some(Kind::StringValue(text.to_owned())) };
    Struct { fields: fields.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect() }
}

fn reported<Req: Payload, Res: Payload>(endpoint: Endpoint<Req, Res>, reports: &ErrorReports) -> Endpoint<Req, Res> {
    endpoint.layer(RecoverLayer::new()).layer(ReportLayer::new(reports.clone()))
}

#[inline(never)]
fn sell() -> Error {
    let cause = std::io::Error::other("redis://:s3cret@cache refused GET /v1/stock?token=s3cret");
    Error::internal("the shop is closed").with_log("with mysql://u:s3cret@db/shop").with_source(cause)
}

#[tokio::test]
async fn a_report_has_the_stack_the_causes_the_request_and_the_answer_and_no_secret() {
    let (reports, told) = started(&ReportConfig { mask: vec!["pin".to_owned()], ..ReportConfig::default() });
    let buy = Endpoint::from_fn(method("Buy", MethodKind::Unary), |_, _: Struct| async {
        // Past an await: the stack is that of the place where the error is made, not of the first poll.
        tokio::task::yield_now().await;
        Err::<Struct, _>(sell().with_reason("CLOSED", "shop").with_reason_metadata("apiKey", "s3cret"))
    });
    let buy = reported(buy, &reports);
    let mut metadata = Metadata::new();
    metadata.insert("authorization", "Bearer s3cret").unwrap();
    metadata.insert("x-tenant", "blue").unwrap();
    metadata.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
    let mut cx = Context::background().with_request_id(RequestId::parse("report-1").unwrap()).next(buy.method());
    *cx.metadata_mut() = metadata;
    let request = object(&[("book", "7"), ("password", "s3cret"), ("userPin", "s3cret"), ("at", "http://a:s3cret@b")]);
    let error = buy.call(Request::new(cx, request)).await.unwrap_err();
    assert_eq!(error.message(), "the shop is closed");

    let report = next(&told).await;
    assert_eq!((report.method.as_str(), report.code, report.panic), ("shop.Shop/Buy", Code::Internal, false));
    assert_eq!(report.request_id.as_str(), "report-1");
    assert_eq!(report.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert!(report.stack[0].function.contains("sell"), "{:#?}", report.stack);
    assert!(report.stack.iter().all(|frame| !frame.function.contains("test::run_test")), "{:#?}", report.stack);
    assert_eq!(report.causes, ["redis://:***@cache refused GET /v1/stock?token=***"]);
    assert_eq!(report.log.as_deref(), Some("with mysql://u:***@db/shop"));
    let expected = json!({ "book": "7", "password": "***", "userPin": "***", "at": "http://a:***@b" });
    assert_eq!(report.request.as_ref().unwrap(), &expected);
    let reason = json!({ "reason": "CLOSED", "domain": "shop", "metadata": { "apiKey": "***" } });
    let answer = json!({ "code": 13, "status": "INTERNAL", "message": "the shop is closed", "reason": reason });
    assert_eq!(report.response, answer);
    let metadata: BTreeMap<_, _> =
        report.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!((metadata["authorization"], metadata["x-tenant"]), ("***", "blue"));
    assert!(!format!("{report:?}").contains("s3cret"));
    assert!(reports.close().await);
    assert_eq!(reports.figures().reported, 1);
}

#[tokio::test]
async fn a_report_names_the_trace_that_the_call_began() {
    let (reports, told) = started(&ReportConfig::default());
    let buy = method("Buy", MethodKind::Unary);
    let fails = |cx: Context, _: Struct| async move {
        Err::<Struct, _>(Error::internal(cx.span().map(|span| span.trace_id().to_string()).unwrap_or_default()))
    };
    let tracer = Tracer::builder(&TraceConfig::default(), "shop").build();
    let traced = TraceLayer::server(&tracer, &buy);
    let buy = reported(Endpoint::from_fn(buy, fails), &reports).layer(traced);
    let error = buy.call_next(&Context::background(), Struct::default()).await.unwrap_err();
    assert_eq!(error.message().len(), 32);
    assert_eq!(next(&told).await.trace_id.as_deref(), Some(error.message()));
}

#[tokio::test]
async fn a_panic_is_reported_with_its_place() {
    let (reports, told) = started(&ReportConfig::default());
    let divide = Endpoint::from_fn(method("Divide", MethodKind::Unary), |_, by: i64| async move { Ok(10 / by) });
    let divide = reported(divide, &reports);
    assert_eq!(divide.call(Request::new(Context::background(), 5)).await.unwrap().into_message(), 2);
    divide.call(Request::new(Context::background(), 0)).await.unwrap_err();
    let report = next(&told).await;
    assert!(report.panic && report.log.unwrap().contains("report.rs"));
    assert!(report.stack[0].function.contains("a_panic_is_reported_with_its_place"), "{:#?}", report.stack);
    assert_eq!(report.request, Some(json!("0")));
}

#[tokio::test]
async fn a_stream_that_breaks_off_tells_how_far_it_came() {
    let (reports, told) = started(&ReportConfig::default());
    let talk = Endpoint::from_fn(method("Talk", MethodKind::BidiStreaming), |_, mut said: Streaming<i64>| async move {
        let (sender, answers) = Streaming::channel(4);
        sender.send(said.message().await.transpose().unwrap()).await.unwrap();
        sender.send(said.message().await.transpose().unwrap()).await.unwrap();
        drop(sender);
        let rest = Streaming::new(futures_util::stream::once(async { panic!("on purpose") }));
        Ok(Streaming::new(futures_util::StreamExt::chain(answers, rest)))
    });
    let talk = reported(talk, &reports);
    let request = Request::new(Context::background(), Streaming::from_iter([7, 8, 9]));
    let mut answers: Streaming<i64> = talk.call(request).await.unwrap().into_message();
    assert_eq!((answers.message().await.unwrap(), answers.message().await.unwrap()), (Some(7), Some(8)));
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Internal);
    let report = next(&told).await;
    assert!(report.panic && report.log.unwrap().contains("on purpose"));
    assert_eq!((report.received, report.sent, report.request), (Some(2), Some(2), Some(json!("8"))));
}

#[tokio::test]
async fn mistakes_of_callers_and_what_was_cancelled_are_not_reported() {
    let (reports, _told) = started(&ReportConfig::default());
    for code in [Code::NotFound, Code::InvalidArgument, Code::Unavailable, Code::ResourceExhausted, Code::Cancelled] {
        let fail = Endpoint::from_fn(method("Fail", MethodKind::Unary), move |_, _: i64| async move {
            Err::<i64, _>(Error::new(code, "no"))
        });
        reported(fail, &reports).call(Request::new(Context::background(), 0)).await.unwrap_err();
    }
    let hang =
        Endpoint::from_fn(method("Hang", MethodKind::Unary), |_, _: i64| std::future::pending::<Result<i64, _>>());
    let mut call = Box::pin(reported(hang, &reports).call(Request::new(Context::background(), 0)));
    assert!(futures_util::poll!(&mut call).is_pending());
    drop(call);
    assert!(reports.close().await);
    assert_eq!(serde_json::to_value(reports.figures()).unwrap()["reported"], 0);
}

fn failing(name: &'static str, reports: &ErrorReports) -> Endpoint<Struct, Struct> {
    let fail = Endpoint::from_fn(method(name, MethodKind::Unary), |_, _: Struct| async { Err(Error::internal("no")) });
    reported(fail, reports)
}

#[tokio::test]
async fn a_reporter_that_hangs_never_slows_a_call() {
    let (entered, started) = sync_channel(100);
    let (go_on, held) = sync_channel::<()>(0);
    struct Hangs(SyncSender<()>, std::sync::Mutex<Receiver<()>>);
    impl ErrorReporter for Hangs {
        fn report(&self, _: ErrorReport) {
            let _ = self.0.send(());
            let _ = self.1.lock().unwrap().recv();
        }
    }
    let config = ReportConfig { queue: 2, per_minute: 1000, ..ReportConfig::default() };
    let reports = ErrorReports::start(&config, Hangs(entered, held.into())).unwrap();
    let fail = failing("Fail", &reports);
    let call = || fail.call(Request::new(Context::background(), object(&[])));
    call().await.unwrap_err();
    soon(tokio::task::spawn_blocking(move || started.recv().unwrap())).await.unwrap();
    // It hangs in the first report now; two wait, and all others are dropped. None of the calls waits.
    for _ in 0..50 {
        call().await.unwrap_err();
    }
    assert_eq!(reports.figures().dropped, 48);
    drop(go_on);
    assert!(reports.close().await);
    assert_eq!(reports.figures().reported, 3);
    call().await.unwrap_err();
    assert_eq!(reports.figures().dropped, 49, "nothing is reported after the end, and that is counted");
}

#[tokio::test]
async fn a_method_has_its_share_of_a_minute() {
    let (reports, told) = started(&ReportConfig { per_minute: 2, ..ReportConfig::default() });
    let (first, second) = (failing("First", &reports), failing("Second", &reports));
    for _ in 0..5 {
        first.call(Request::new(Context::background(), object(&[]))).await.unwrap_err();
    }
    let error = first.call(Request::new(Context::background(), object(&[]))).await.unwrap_err();
    assert!(error.stack().is_none(), "a storm costs no stacks");
    second.call(Request::new(Context::background().next(second.method()), object(&[]))).await.unwrap_err();
    assert!(reports.close().await);
    let methods: Vec<_> = told.try_iter().map(|report| report.method).collect();
    assert_eq!((methods.len(), methods[2].as_str()), (3, "shop.Shop/Second"));
    assert_eq!(reports.figures().limited, 4);
    let info: LayerInfo = ReportLayer::new(reports).info().unwrap();
    assert_eq!((info.settings()["per_minute"].clone(), info.state().unwrap()["limited"].clone()), (json!(2), json!(4)));
}

#[tokio::test]
async fn a_large_request_is_not_kept_and_a_reporter_that_panics_is_harmless() {
    struct Panics(Told);
    impl ErrorReporter for Panics {
        fn report(&self, report: ErrorReport) {
            let large = report.request.as_ref().is_some_and(|request| request.is_string());
            self.0.report(report);
            assert!(!large, "on purpose");
        }
    }
    let (sender, told) = sync_channel(10);
    let config = ReportConfig { max_body: 100, ..ReportConfig::default() };
    let reports = ErrorReports::start(&config, Panics(Told(sender))).unwrap();
    let fail = failing("Fail", &reports);
    for text in ["x".repeat(200), "x".to_owned()] {
        fail.call(Request::new(Context::background(), object(&[("text", &text)]))).await.unwrap_err();
    }
    assert!(reports.close().await);
    let requests: Vec<_> = told.try_iter().map(|report| report.request.unwrap()).collect();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].as_str().unwrap().starts_with("not shown: 2"), "{requests:?}");
    assert_eq!(requests[1], json!({ "text": "x" }));
    assert_eq!((reports.figures().panicked, reports.figures().reported), (1, 1));
}

#[test]
fn settings_are_checked_and_name_what_starts() {
    assert!(ReportConfig::default().start().unwrap().is_none());
    assert!(ReportConfig { log: true, ..ReportConfig::default() }.start().unwrap().is_some());
    for (wrong, what) in [
        (json!({ "log": true, "per_minute": 0 }), "report.per_minute is 0"),
        (json!({ "log": true, "queue": 0 }), "report.queue must be from 1 to 10000"),
        (json!({ "sentry": { "dsn": "https://host" } }), "report.sentry.dsn can't be read"),
        (json!({ "sentry": { "dsn": "http://k@host/1", "timeout": "0s" } }), "report.sentry.timeout is 0"),
        (
            json!({ "sentry": { "dsn": "https://k@host/1", "authorities": "/nowhere.pem" } }),
            "report.sentry.authorities: /nowhere",
        ),
    ] {
        let config: ReportConfig = serde_json::from_value(wrong).unwrap();
        let error = config.start().err().unwrap();
        assert!(error.message().starts_with(what), "{error}");
    }
}

/// A Sentry that answers what it is told to, and shows what it got.
struct Sentry {
    listener: TcpListener,
}

impl Sentry {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }
    fn config(&self) -> ReportConfig {
        let address = self.listener.local_addr().unwrap();
        let sentry = json!({
            "dsn": format!("http://pub1ickey@{address}/42"),
            "environment": "test",
            "release": "shop@1.2.3",
            "timeout": "30s",
        });
        serde_json::from_value(json!({ "sentry": sentry })).unwrap()
    }
    /// The next request, answered: its head and its body.
    async fn take(&self, answer: &str) -> (String, String) {
        let (mut stream, _) = soon(self.listener.accept()).await.unwrap();
        let request = soon(read(&mut stream)).await;
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    }
}

async fn read(stream: &mut TcpStream) -> (String, String) {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(received[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if received.len() >= end + 4 + length.parse::<usize>().unwrap() {
                return (head, String::from_utf8(received[end + 4..].to_vec()).unwrap());
            }
        }
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the request broke off");
    }
}

#[tokio::test]
async fn sentry_gets_an_envelope_with_the_event() {
    let sentry = Sentry::start().await;
    let config = sentry.config();
    assert!(!format!("{config:?} {}", serde_json::to_string(&config).unwrap()).contains("pub1ickey"));
    let reports = config.start().unwrap().unwrap();
    let buy = Endpoint::from_fn(method("Buy", MethodKind::Unary), |_, _: Struct| async { Err::<Struct, _>(sell()) });
    let buy = reported(buy, &reports);
    let mut cx = Context::background().with_request_id(RequestId::parse("sentry-1").unwrap()).next(buy.method());
    cx.metadata_mut().insert("cookie", "s3cret").unwrap();
    cx.metadata_mut().insert("b3", "463ac35c9f6413ad-a2fb4a1d1a96d312-1").unwrap();
    buy.call(Request::new(cx, object(&[("book", "7"), ("token", "s3cret")]))).await.unwrap_err();

    let (head, body) = sentry.take("200 OK").await;
    assert!(head.starts_with("post /api/42/envelope/ http/1.1"), "{head}");
    assert!(head.contains("x-sentry-auth: sentry sentry_key=pub1ickey") && head.contains("sentry_version=7"), "{head}");
    assert!(head.contains("content-type: application/x-sentry-envelope"), "{head}");
    assert!(!body.contains("s3cret"), "{body}");
    let lines: Vec<serde_json::Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["type"]), (3, &json!("event")));
    let event = &lines[2];
    // Both forms of an id are the protocol's.
    assert_eq!(lines[0]["event_id"].as_str().unwrap().replace('-', ""), event["event_id"]);
    assert_eq!((&event["environment"], &event["release"]), (&json!("test"), &json!("shop@1.2.3")));
    assert_eq!(event["transaction"], "shop.Shop/Buy");
    assert_eq!((&event["tags"]["request_id"], &event["tags"]["code"]), (&json!("sentry-1"), &json!("INTERNAL")));
    assert_eq!(event["tags"]["trace_id"], "463ac35c9f6413ad");
    assert_eq!(event["contexts"]["trace"]["trace_id"], "0000000000000000463ac35c9f6413ad");
    assert_eq!(event["contexts"]["call"]["response"]["message"], "the shop is closed");
    assert_eq!(event["request"]["headers"]["cookie"], "***");
    let data: serde_json::Value = serde_json::from_str(event["request"]["data"].as_str().unwrap()).unwrap();
    assert_eq!(data, json!({ "book": "7", "token": "***" }));
    let exceptions = event["exception"]["values"].as_array().unwrap();
    assert_eq!(exceptions[0]["value"], "redis://:***@cache refused GET /v1/stock?token=***");
    assert_eq!(exceptions[1]["type"], "INTERNAL");
    // Sentry wants the innermost frame last.
    let frame = exceptions[1]["stacktrace"]["frames"].as_array().unwrap().last().unwrap();
    assert!(frame["function"].as_str().unwrap().contains("sell"), "{frame}");
    assert_eq!(frame["in_app"], true);
    assert!(reports.close().await);
}

#[tokio::test]
async fn sentry_may_refuse_ask_for_a_pause_or_be_gone() {
    let sentry = Sentry::start().await;
    let reports = sentry.config().start().unwrap().unwrap();
    let fail = failing("Fail", &reports);
    let call = || fail.call(Request::new(Context::background(), object(&[])));
    call().await.unwrap_err();
    sentry.take("500 Internal Server Error").await;
    call().await.unwrap_err();
    // Another category than errors: nothing of ours.
    sentry.take("200 OK\r\nx-sentry-rate-limits: 60:transaction:key").await;
    call().await.unwrap_err();
    sentry.take("429 Too Many Requests\r\nretry-after: 60").await;
    // Nothing more is sent, so nobody has to answer.
    call().await.unwrap_err();
    assert!(reports.close().await);
    assert_eq!(reports.figures().reported, 4);

    let mut config = sentry.config();
    drop(sentry);
    config.sentry.timeout = Duration::from_secs(1);
    let reports = config.start().unwrap().unwrap();
    let fail = failing("Fail", &reports);
    fail.call(Request::new(Context::background(), object(&[]))).await.unwrap_err();
    assert!(reports.close().await, "a Sentry that is gone does not keep a service from stopping");
}
