//! What a service is watched by, put together by one value: both ports, the traces, the stop.

use kit::{
    Code,
    instruments::{Instruments, InstrumentsConfig},
    middleware::StandardStack,
    server::Server,
    trace::{Sample, TraceConfig},
};

use crate::{
    support::{get, post, room, soon},
    trace::collector::{Collector, Step},
};

fn config() -> InstrumentsConfig {
    let mut config = InstrumentsConfig::silent();
    config.debug.enabled = true;
    config.debug.hosts.push("test".to_owned());
    config.listen_on("127.0.0.1:0".parse().unwrap());
    config
}

#[tokio::test]
async fn a_call_is_seen_on_both_ports_and_its_span_is_sent_at_the_stop() {
    let collector = Collector::start(&[Step::Answer(202)]).await;
    let mut config = config();
    config.trace = TraceConfig { sample: Sample::Always, ..TraceConfig::default() };
    config.spans = InstrumentsConfig::default().spans;
    config.spans.url = collector.url();
    // Nothing is sent before the stop.
    config.spans.interval = std::time::Duration::from_secs(3600);
    let shown = [kit::debug::ConfigEntry { key: "greeting".into(), value: "1".into(), origin: "default".into() }];
    let instruments = Instruments::builder("chat", &config)
        .version("7.8.9")
        .address("192.0.2.7:5002".parse().unwrap())
        .settings(shown)
        .start()
        .unwrap();
    let endpoints = room().with(&StandardStack::default().watched_by(&instruments.telemetry()));
    let server = Server::new().http("127.0.0.1:0").service(&endpoints);
    let server = instruments.serve_with(server, |debug| debug.client(&room())).bind().await.unwrap();
    let http = server.http_addr().unwrap();
    let (metrics, debug) = (server.admin_addr("metrics").unwrap(), server.admin_addr("debug").unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { stopped.await.unwrap_or_default() }));

    assert_eq!(post(http, "/v1/say", r#"{"text": "a"}"#).await.status, 200);
    let figures = get(metrics, "/metrics").await.text();
    for name in ["rpc_server_call_duration_seconds", "kit_build_info", "tokio_workers", "kit_spans_queued", "kit_tasks"]
    {
        assert!(figures.contains(name), "{name}: {figures}");
    }
    let index = get(debug, "/debug/").await.text();
    assert!(index.contains("<h1>chat <small>7.8.9</small></h1>"), "{index}");
    assert!(get(debug, "/debug/config?format=json").await.text().contains("greeting"));
    let stack = get(debug, "/debug/stack?format=json").await.text();
    assert!(stack.contains("server") && stack.contains("client") && stack.contains("trace"), "{stack}");

    assert!(collector.spans().is_empty());
    stop.send(()).unwrap();
    soon(running).await.unwrap().unwrap();
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span["localEndpoint"]["ipv4"] == "192.0.2.7"), "{spans:?}");
}

#[tokio::test]
async fn ports_that_are_turned_off_are_not_there() {
    let instruments = Instruments::builder("chat", &InstrumentsConfig::silent()).start().unwrap();
    let server = instruments.serve(Server::new().http("127.0.0.1:0").service(&room())).bind().await.unwrap();
    assert_eq!((server.admin_addr("metrics"), server.admin_addr("debug")), (None, None));
}

#[tokio::test]
async fn a_figure_that_cannot_be_is_not_the_end_of_a_service() {
    let instruments = Instruments::builder("chat", &InstrumentsConfig::silent()).start().unwrap();
    instruments.observe(|metrics| metrics.gauge_fn("not a name", "", &[], || 1.0));
    instruments.observe(|metrics| metrics.gauge_fn("rooms", "Rooms that are open.", &[], || 1.0));
    let figures = instruments.metrics().encode(kit::telemetry::metrics::Format::Text).unwrap();
    assert!(String::from_utf8(figures).unwrap().contains("rooms 1"));
}

#[test]
fn why_it_cannot_start_is_said() {
    let error = Instruments::builder("chat", &InstrumentsConfig::silent()).start().unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.message(), "the instruments of chat need a Tokio runtime: start them inside of one");
    let mut config = InstrumentsConfig::default();
    config.spans.batch = 0;
    let error = Instruments::builder("chat", &config).start().unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().starts_with("spans.batch is 0"), "{error}");
}
