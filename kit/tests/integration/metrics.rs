//! What is counted of calls, and how it is read.

use std::{io::Read as _, time::Duration};

use kit::{
    Code, Context, Endpoint, Error, Streaming, Transport,
    client::Channel,
    layer::metrics::CallMetrics,
    middleware::StandardStack,
    server::Server,
    telemetry::metrics::{Format, Metrics, MetricsConfig, Side},
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{MetricFamily, MetricType};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};

use crate::{
    calls,
    chat::proto::chat::{Chat, ChatClient, ChatEndpoints, CountRequest, Line},
    echo::{
        EchoService,
        proto::tc::v1::{Echo, EchoClient, EchoEndpoints, FailReq, Msg},
    },
    prometheus::{Prometheus, promtool_accepts},
    support::{Answer, OnDrop, Running, counting, get, line, post, request, room, saying, soon},
};

const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap()
}

/// The value of the series of that name whose labels are these, in any order.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let found = text.lines().find_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let found = series.strip_prefix(name)?.strip_prefix('{')?.strip_suffix('}')?;
        let same = found.split(',').count() == labels.len() && labels.iter().all(|label| found.contains(label));
        same.then(|| value.parse().unwrap())
    });
    found.or_else(|| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()))
}

fn chat(method: &str, transport: &str) -> [String; 3] {
    [r#"rpc_service="chat.Chat""#.to_owned(), format!("rpc_method={method:?}"), format!("transport={transport:?}")]
}

/// The calls of a method that ended with a code.
fn ended(metrics: &Metrics, side: &str, method: &str, transport: &str, code: &str) -> Option<f64> {
    let [service, method, transport] = chat(method, transport);
    let code = format!("rpc_response_status_code={code:?}");
    let name = format!("rpc_{side}_call_duration_seconds_count");
    value(&text(metrics), &name, &[&service, &method, &code, &transport])
}

/// The value of a series that has no code.
fn of(metrics: &Metrics, name: &str, method: &str, transport: &str) -> Option<f64> {
    let labels = chat(method, transport);
    value(&text(metrics), name, &labels.each_ref().map(String::as_str))
}

/// Waits until a series has a value: a server counts a call when its answer is complete, which its client may know before.
async fn until(what: impl Fn() -> Option<f64>, expected: f64) {
    soon(async {
        while what() != Some(expected) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn serve(endpoints: &ChatEndpoints, metrics: &Metrics) -> Running {
    Running::start(
        Server::new().service(&endpoints.clone().with(&CallMetrics::server(metrics))).routes(metrics.routes()),
    )
    .await
}

fn client(url: &str, metrics: &Metrics) -> ChatClient {
    let channel = Channel::new(url).unwrap();
    ChatClient::new(&channel).with(&CallMetrics::client(metrics, channel.transport()))
}

#[tokio::test]
async fn every_kind_of_call_is_counted_on_both_sides() {
    for (address, transport) in [(Running::grpc_url as fn(&Running) -> String, "grpc"), (Running::http_url, "http")] {
        let (served, made) = (Metrics::new(), Metrics::new());
        let server = serve(&room(), &served).await;
        let client = client(&address(&server), &made);
        let cx = Context::background();
        for _ in 0..3 {
            client.say(&cx, line("four")).await.unwrap();
        }
        calls::all(&mut client.count(&cx, CountRequest { to: 4 }).await.unwrap()).await.unwrap();
        client.dictate(&cx, Streaming::from_iter([line("a"), line("bc")])).await.unwrap();
        let mut said = client.talk(&cx, Streaming::from_iter([line("x")])).await.unwrap();
        calls::all(&mut said).await.unwrap();
        let (four, answer) = (line("four").encoded_len() as f64, line("FOUR").encoded_len() as f64);
        let numbers: usize = (1..=4).map(|number| line(&number.to_string()).encoded_len()).sum();
        let dictated = line("a").encoded_len() + line("bc").encoded_len();
        for (metrics, side) in [(&served, "server"), (&made, "client")] {
            for (method, calls) in [("Say", 3.0), ("Count", 1.0), ("Dictate", 1.0), ("Talk", 1.0)] {
                until(|| ended(metrics, side, method, transport, "OK"), calls).await;
                assert_eq!(of(metrics, &format!("rpc_{side}_active_calls"), method, transport), Some(0.0));
            }
            let sum = |what: &str, method| of(metrics, &format!("rpc_{side}_{what}_size_bytes_sum"), method, transport);
            let count =
                |what: &str, method| of(metrics, &format!("rpc_{side}_{what}_size_bytes_count"), method, transport);
            assert_eq!((sum("request", "Say"), sum("response", "Say")), (Some(3.0 * four), Some(3.0 * answer)));
            assert_eq!((count("request", "Count"), count("response", "Count")), (Some(1.0), Some(4.0)));
            assert_eq!(sum("response", "Count"), Some(numbers as f64));
            assert_eq!((count("request", "Dictate"), count("response", "Dictate")), (Some(2.0), Some(1.0)));
            assert_eq!(sum("request", "Dictate"), Some(dictated as f64));
            assert_eq!((count("request", "Talk"), count("response", "Talk")), (Some(1.0), Some(1.0)));
            let figures = metrics.methods();
            let say = figures.iter().find(|figures| figures.method == "Say").unwrap();
            assert_eq!((say.calls, say.errors, say.in_flight, say.durations.count()), (3, 0, 0, 3));
            assert_eq!(
                (say.side, &*say.service),
                (if side == "server" { Side::Server } else { Side::Client }, "chat.Chat")
            );
        }
    }
}

#[tokio::test]
async fn failures_are_counted_by_code_and_only_ours_are_errors() {
    let metrics = Metrics::new();
    let endpoints = saying(|_, said| async move {
        Err(match said.text.as_str() {
            "missing" => Error::not_found("no"),
            "limit" => Error::resource_exhausted("no"),
            "away" => Error::unavailable("no"),
            _ => Error::internal("no"),
        })
    })
    .with(&CallMetrics::server(&metrics));
    for text in ["missing", "limit", "away", "broken", "broken"] {
        endpoints.say(&Context::background(), line(text)).await.unwrap_err();
    }
    let count = |code| ended(&metrics, "server", "Say", "local", code);
    assert_eq!(count("NOT_FOUND"), Some(1.0));
    assert_eq!(count("RESOURCE_EXHAUSTED"), Some(1.0));
    assert_eq!(count("UNAVAILABLE"), Some(1.0));
    assert_eq!(count("INTERNAL"), Some(2.0));
    // What did not happen is not shown, neither codes nor methods that nobody called.
    assert_eq!(count("OK"), None);
    assert!(!text(&metrics).contains("Dictate"));
    let figures = metrics.methods();
    let say = figures.iter().find(|figures| figures.method == "Say").unwrap();
    assert_eq!((say.calls, say.errors), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn time_is_counted_until_the_end_of_a_stream() {
    let metrics = Metrics::new();
    let endpoints = ChatEndpoints {
        say: saying(|_, said| async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(said)
        })
        .say,
        ..counting(|_, _| async move {
            let (sender, lines) = Streaming::channel(1);
            tokio::spawn(async move {
                for text in ["a", "b"] {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    sender.send(Ok(line(text))).await.unwrap();
                }
            });
            Ok(lines)
        })
    }
    .with(&CallMetrics::server(&metrics));
    let cx = Context::background();
    endpoints.say(&cx, line("a")).await.unwrap();
    let mut lines = endpoints.count(&cx, CountRequest { to: 2 }).await.unwrap();
    lines.message().await.unwrap();
    assert_eq!(of(&metrics, "rpc_server_active_calls", "Count", "local"), Some(1.0));
    assert_eq!(ended(&metrics, "server", "Count", "local", "OK"), None);
    assert_eq!(lines.message().await.unwrap().unwrap().text, "b");
    assert_eq!(lines.message().await.unwrap(), None);
    let text = text(&metrics);
    let labels =
        |method| [chat(method, "local").to_vec(), vec![r#"rpc_response_status_code="OK""#.to_owned()]].concat();
    let sum = |method| {
        let labels = labels(method);
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        value(&text, "rpc_server_call_duration_seconds_sum", &labels).unwrap()
    };
    // Tokio's timers are exact to a millisecond.
    assert!((3.0..3.1).contains(&sum("Say")) && (40.0..40.1).contains(&sum("Count")), "{text}");
    for (method, bound, below) in
        [("Say", "2.5", 0.0), ("Say", "5.0", 1.0), ("Count", "10.0", 0.0), ("Count", "+Inf", 1.0)]
    {
        let labels = [labels(method), vec![format!("le={bound:?}")]].concat();
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        assert_eq!(value(&text, "rpc_server_call_duration_seconds_bucket", &labels), Some(below), "{method} {bound}");
    }
    assert!(metrics.methods().iter().all(|figures| figures.in_flight == 0));
}

#[tokio::test]
async fn calls_that_the_caller_gives_up_are_cancelled() {
    for (address, transport) in [(Running::grpc_url as fn(&Running) -> String, "grpc"), (Running::http_url, "http")] {
        let (served, made) = (Metrics::new(), Metrics::new());
        let (told, mut events) = mpsc::unbounded_channel();
        let endpoints = ChatEndpoints {
            say: saying(move |_, _| {
                let told = told.clone();
                async move {
                    told.send("started").unwrap();
                    let _gone = OnDrop(told, "gone");
                    std::future::pending().await
                }
            })
            .say,
            ..counting(|_, _| async move { Ok(Streaming::new(futures_util::stream::pending())) })
        };
        let server = serve(&endpoints, &served).await;
        let client = client(&address(&server), &made);
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.say(&Context::background(), line("")).await }
        });
        assert_eq!(soon(events.recv()).await, Some("started"));
        for (metrics, side) in [(&served, "server"), (&made, "client")] {
            assert_eq!(of(metrics, &format!("rpc_{side}_active_calls"), "Say", transport), Some(1.0));
        }
        call.abort();
        assert_eq!(soon(events.recv()).await, Some("gone"));
        let stream = soon(client.count(&Context::background(), CountRequest { to: 1 })).await.unwrap();
        until(|| of(&served, "rpc_server_active_calls", "Count", transport), 1.0).await;
        drop(stream);
        for (metrics, side) in [(&served, "server"), (&made, "client")] {
            for method in ["Say", "Count"] {
                until(|| ended(metrics, side, method, transport, "CANCELLED"), 1.0).await;
                assert_eq!(of(metrics, &format!("rpc_{side}_active_calls"), method, transport), Some(0.0));
            }
        }
    }
}

#[tokio::test]
async fn nobody_makes_series_by_calling_what_is_not_there() {
    let metrics = Metrics::new();
    let server = serve(&room(), &metrics).await;
    let names = |metrics: &Metrics| {
        let text = text(metrics);
        text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect::<Vec<_>>()
    };
    assert!(names(&metrics).is_empty());
    client(&server.grpc_url(), &Metrics::new()).say(&Context::background(), line("a")).await.unwrap();
    until(|| ended(&metrics, "server", "Say", "grpc", "OK"), 1.0).await;
    let before = names(&metrics);

    for i in 0..50 {
        let target = format!("/v{i}/nothing\u{7f}/{i}").replace('\u{7f}', "%22%0A");
        assert_eq!(get(server.http, &target).await.status, 404);
        assert_eq!(request(server.http, "BREW", &format!("/chat.Chat/Nothing{i}"), &[], b"").await.status, 404);
    }
    // Methods of the service that it does not have, and other services, over gRPC.
    let channel = Channel::new(&server.grpc_url()).unwrap();
    for i in 0..50 {
        let info = kit::MethodInfo::new(format!("no.Such{i}\"\n"), format!("Method{i}"), kit::MethodKind::Unary);
        let unknown: Endpoint<Line, Line> = kit::Connect::unary(
            &channel,
            &kit::Method::from(kit::MethodInfo { path: format!("/chat.Chat/Method{i}").into(), ..info }),
        );
        let error = unknown.call(kit::Request::new(Context::background(), line(""))).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{error}");
    }
    assert_eq!(names(&metrics), before);
}

#[tokio::test]
async fn one_service_counts_once_whatever_the_door_and_another_counts_for_itself() {
    let (metrics, other) = (Metrics::new(), Metrics::new());
    let server = serve(&room(), &metrics).await;
    let cx = Context::background();
    client(&server.grpc_url(), &other).say(&cx, line("a")).await.unwrap();
    client(&server.http_url(), &other).say(&cx, line("a")).await.unwrap();
    room().with(&CallMetrics::server(&metrics)).say(&cx, line("a")).await.unwrap();
    for transport in ["grpc", "http", "local"] {
        until(|| ended(&metrics, "server", "Say", transport, "OK"), 1.0).await;
    }
    assert!(!text(&metrics).contains("rpc_client") && !text(&other).contains("rpc_server"));
    assert_eq!(metrics.methods().iter().find(|figures| figures.method == "Say").unwrap().calls, 3);
}

#[tokio::test]
async fn the_layer_tells_of_itself() {
    let metrics = Metrics::new();
    let say = room().say.with(&CallMetrics::server(&metrics)).with(&StandardStack::default());
    let layer = say.layers().iter().find(|layer| layer.name() == "metrics").unwrap().clone();
    assert_eq!(layer.settings()["side"], "server");
    say.call(kit::Request::new(Context::background(), line("a"))).await.unwrap();
    assert_eq!(layer.state().unwrap(), serde_json::json!({ "calls": 1, "errors": 0, "in_flight": 0 }));
}

async fn scrape(server: &Running, headers: &[&str]) -> Answer {
    let answer = soon(request(server.http, "GET", "/metrics", headers, b"")).await;
    assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
    answer
}

fn families(mut bytes: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).unwrap());
    }
    families
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let metrics = Metrics::new();
    let server = serve(&room(), &metrics).await;
    assert_eq!(post(server.http, "/v1/say", r#"{"text":"a"}"#).await.status, 200);
    until(|| ended(&metrics, "server", "Say", "http", "OK"), 1.0).await;

    let plain = scrape(&server, &[]).await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("content-length"), Some(plain.body.len().to_string().as_str()));
    assert!(!plain.text().contains("# EOF") && !plain.text().contains("# UNIT"));
    let anything = scrape(&server, &["accept: text/html, */*;q=0.8"]).await;
    assert_eq!(anything.body, plain.body);

    let open =
        scrape(&server, &["accept: text/plain;q=0.5", "accept: application/openmetrics-text; version=1.0.0"]).await;
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().ends_with("# EOF\n"));
    assert!(open.text().contains("# UNIT rpc_server_call_duration_seconds seconds\n"), "{}", open.text());

    let protobuf = scrape(&server, &[&format!("accept: {PROTOBUF}")]).await;
    assert_eq!(protobuf.header("content-type"), Some(PROTOBUF));
    let family = families(&protobuf.body).into_iter().find(|f| f.name == "rpc_server_call_duration_seconds").unwrap();
    assert_eq!((family.r#type(), family.unit.as_str()), (MetricType::Histogram, "seconds"));
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.schema, histogram.bucket.len()), (1, 3, 15));
    assert_eq!((histogram.positive_span.len(), histogram.positive_delta.as_slice()), (1, [1].as_slice()));

    let small = scrape(&server, &["accept-encoding: br, gzip"]).await;
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(small.body.len() < plain.body.len() / 2);
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(small.body.as_slice()).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
    assert_eq!(scrape(&server, &["accept-encoding: gzip;q=0"]).await.header("content-encoding"), None);
}

#[tokio::test]
async fn metrics_are_read_and_nothing_else() {
    let metrics = Metrics::new();
    let server = serve(&room(), &metrics).await;
    let head = request(server.http, "HEAD", "/metrics", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let refused = request(server.http, method, "/metrics", &[], b"").await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET,HEAD")), "{method}");
    }
    assert_eq!(get(server.http, "/metrics/more").await.status, 404);
}

#[tokio::test]
async fn native_histograms_can_be_switched_off() {
    let config = MetricsConfig { native_histograms: false, buckets: vec![0.5], ..MetricsConfig::default() };
    let metrics = Metrics::with_config(&config).unwrap();
    let say = room().say.with(&CallMetrics::server(&metrics));
    say.call(kit::Request::new(Context::background(), line("a"))).await.unwrap();
    let families = families(&metrics.encode(Format::Protobuf).unwrap());
    let family = families.iter().find(|family| family.name == "rpc_server_call_duration_seconds").unwrap();
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.positive_span.len()), (1, 0));
    assert_eq!(histogram.bucket.iter().map(|bucket| bucket.upper_bound).collect::<Vec<_>>(), [0.5, f64::INFINITY]);
}

/// Asks and does not read. Its kernel takes little for it, so that the answer waits in the server.
async fn silent_scraper(server: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.http).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    stream
}

async fn read_all(mut stream: TcpStream) -> usize {
    let mut received = Vec::new();
    // Broken off, it may be reset.
    let _ = soon(stream.read_to_end(&mut received)).await;
    received.len()
}

#[tokio::test]
async fn scrapers_that_never_read_hold_nobody_up_and_bounded_memory() {
    let metrics = Metrics::new();
    // More than the kernel keeps for a connection at both ends: 4 MiB and the little that is asked for below.
    let size = 6 << 20;
    metrics.gauge_fn("large", &"x".repeat(size), &[], || 1.0).unwrap();
    let server = serve(&room(), &metrics).await;
    let first = silent_scraper(&server).await;
    // Answered: the next ones come later than it.
    soon(first.readable()).await.unwrap();
    let mut later = Vec::new();
    for _ in 0..40 {
        later.push(silent_scraper(&server).await);
    }
    for scraper in &later {
        soon(scraper.readable()).await.unwrap();
    }
    // Others are served while they wait, calls too.
    let other = soon(request(server.http, "GET", "/metrics", &[], b"")).await;
    assert!(other.complete && other.body.len() > size);
    assert_eq!(soon(post(server.http, "/v1/say", r#"{"text":"a"}"#)).await.status, 200);
    // What nobody read was dropped for newer answers, which are kept.
    let (first, last) = (read_all(first).await, read_all(later.pop().unwrap()).await);
    assert!(first < size && last > size, "{first} {last}");
}

/// Two services with traffic, each with metrics of its own.
async fn two_services() -> ([Running; 2], [Metrics; 2]) {
    let metrics = [Metrics::new(), Metrics::new()];
    let [of_chat, of_echo] = &metrics;
    for metrics in &metrics {
        metrics.observe_process().unwrap();
        metrics.observe_runtime(&tokio::runtime::Handle::current()).unwrap();
    }
    let packing = of_chat.durations();
    of_chat.register(|registry| registry.register("packing_seconds", "How long packing took", packing.clone()));
    for _ in 0..100 {
        packing.observe(Duration::from_millis(30));
    }
    let chat = serve(&room(), of_chat).await;
    let echo = EchoEndpoints::new(EchoService).with(&CallMetrics::server(of_echo));
    let echo = Running::start(Server::new().service(&echo).routes(of_echo.routes())).await;
    let cx = Context::background();
    let over = |url: String| (client(&url, of_chat), EchoClient::new(&Channel::new(&url).unwrap()));
    let (chat_grpc, _) = over(chat.grpc_url());
    let (chat_http, _) = over(chat.http_url());
    let (_, echo_grpc) = over(echo.grpc_url());
    for _ in 0..7 {
        chat_grpc.say(&cx, line("hello")).await.unwrap();
        chat_http.say(&cx, line("hello")).await.unwrap();
    }
    for code in [Code::NotFound, Code::NotFound, Code::Internal] {
        let request = FailReq { code: code as i32, message: "on purpose".to_owned() };
        echo_grpc.fail(&cx, request).await.unwrap_err();
    }
    echo_grpc.post_all(&cx, Msg { name: "n".to_owned(), ..Msg::default() }).await.unwrap();
    ([chat, echo], metrics)
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let ([chat, echo], [of_chat, _]) = two_services().await;
    of_chat.gauge_fn("odd_labels", "A help with \\ and\na line break.", &[("of", "a\\b\n\"c\" é")], || 1.5).unwrap();
    for server in [&chat, &echo] {
        promtool_accepts(&scrape(server, &[]).await.body).await;
    }
}

#[tokio::test]
async fn a_prometheus_reads_two_services() {
    let ([chat, echo], _) = two_services().await;
    let targets = [("chat", chat.http), ("echo", echo.http)];
    let Some(prometheus) = Prometheus::start(&targets, &[]).await else { return };
    prometheus.until_up().await;
    let count = "rpc_server_call_duration_seconds_count";
    prometheus.until(&format!(r#"{count}{{job="chat",rpc_method="Say",transport="grpc"}}"#), |v| v == 7.0).await;
    prometheus.until(&format!(r#"{count}{{job="chat",rpc_method="Say",transport="http"}}"#), |v| v == 7.0).await;
    prometheus.until(&format!(r#"{count}{{job="echo",rpc_response_status_code="NOT_FOUND"}}"#), |v| v == 2.0).await;
    prometheus.until(&format!(r#"sum(rate({count}{{job="echo"}}[1m]) >= 0)"#), |v| v >= 0.0).await;
    prometheus.until("sum(rpc_client_call_duration_seconds_count)", |v| v == 14.0).await;
    prometheus.until("sum(rpc_server_active_calls)", |v| v == 0.0).await;
    let size = f64::from(u32::try_from(line("hello").encoded_len()).unwrap());
    prometheus.until(r#"sum(rpc_server_request_size_bytes_sum{job="chat"})"#, |v| v == 14.0 * size).await;
    // All took 30 ms, which is in the bucket from 25 to 50.
    prometheus.until("histogram_quantile(0.5, packing_seconds_bucket)", |v| (0.025..0.05).contains(&v)).await;
    prometheus.until("process_resident_memory_bytes{job=\"echo\"}", |v| v > 1e6).await;
    prometheus.until("time() - process_start_time_seconds{job=\"chat\"}", |v| (-2.0..1e5).contains(&v)).await;
    prometheus.until("count(kit_build_info)", |v| v == 2.0).await;
    prometheus.until("tokio_workers{job=\"chat\"}", |v| v == 1.0).await;
    let types = prometheus.api("/api/v1/metadata?metric=rpc_server_call_duration_seconds").await.unwrap();
    assert_eq!(types["rpc_server_call_duration_seconds"][0]["unit"], "seconds", "{types}");
}

#[tokio::test]
async fn a_prometheus_reads_native_histograms() {
    let ([chat, echo], _) = two_services().await;
    let targets = [("chat", chat.http), ("echo", echo.http)];
    let Some(prometheus) = Prometheus::start(&targets, &["--enable-feature=native-histograms"]).await else { return };
    prometheus.until_up().await;
    let calls = "sum(histogram_count(rpc_server_call_duration_seconds{job=\"chat\",rpc_method=\"Say\"}))";
    prometheus.until(calls, |v| v == 14.0).await;
    let failed = "histogram_count(rpc_server_call_duration_seconds{rpc_response_status_code=\"INTERNAL\"})";
    prometheus.until(failed, |v| v == 1.0).await;
    // All took 30 ms: far nearer than by the bucket from 25 to 50.
    prometheus.until("histogram_quantile(0.5, packing_seconds)", |v| (0.0285..0.0313).contains(&v)).await;
    prometheus.until("histogram_sum(packing_seconds)", |v| (v - 3.0).abs() < 1e-9).await;
    prometheus.until("process_resident_memory_bytes{job=\"echo\"}", |v| v > 1e6).await;
}

/// The transport of a client is that of its channel.
#[tokio::test]
async fn a_channel_tells_its_transport() {
    assert_eq!(Channel::new("grpc://127.0.0.1:1").unwrap().transport(), Transport::Grpc);
    assert_eq!(Channel::new("http://127.0.0.1:1").unwrap().transport(), Transport::Http);
}
