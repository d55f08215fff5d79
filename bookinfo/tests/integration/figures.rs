//! What a real Prometheus reads of both services.

use std::collections::BTreeSet;

use bookcomments::proto::comments::{BookComments, BookCommentsClient, PostReq};
use bookdetails::proto::details::{BookDetails, BookDetailsClient, DetailReq};
use kit::{Context, client::Channel};

use crate::{
    prometheus::{Prometheus, promtool_accepts},
    support::{Demo, get},
};

/// What rules and dashboards may use, and `.ci/deploy` checks them against.
const LIST: &str = include_str!("../../../docker/prometheus/metrics.txt");

/// The series of the list, with those of histograms.
fn listed() -> BTreeSet<String> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#') && *line != "up");
    let series = lines.flat_map(|line| match line.split_once(' ') {
        Some((name, _)) => ["_bucket", "_count", "_sum"].map(|suffix| format!("{name}{suffix}")).to_vec(),
        None => vec![line.to_owned()],
    });
    series.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_reads_both_services() {
    let demo = Demo::start(|_| {}).await;
    let addresses = demo.addresses;
    let (details, comments) = (addresses.details_metrics.unwrap(), addresses.comments_metrics.unwrap());
    let Some(prometheus) = Prometheus::start(&[("details", details), ("comments", comments)], &[]).await else {
        return demo.stop().await;
    };

    let cx = Context::background();
    let books = BookDetailsClient::new(&Channel::new(&format!("grpc://{}", addresses.details_grpc)).unwrap());
    let posting = BookCommentsClient::new(&Channel::new(&format!("grpc://{}", addresses.comments_grpc)).unwrap());
    for _ in 0..3 {
        assert_eq!(get(addresses.details_http, "/v1/detail?id=1", &[]).await.status, 200);
    }
    for _ in 0..2 {
        books.detail(&cx, DetailReq { id: 1 }).await.unwrap();
    }
    assert_eq!(get(addresses.comments_http, "/v1/get?id=1", &[]).await.status, 200);
    posting.post(&cx, PostReq { id: 3, content: "Read in one night.".to_owned() }).await.unwrap();
    // No path, whatever it is, makes a series.
    assert_eq!(get(addresses.details_http, "/v1/nowhere", &[]).await.status, 404);

    prometheus.until_up().await;
    let count = |side: &str, job: &str, labels: &str| {
        format!("rpc_{side}_call_duration_seconds_count{{job=\"{job}\",{labels}}}")
    };
    let detail = "rpc_service=\"details.BookDetails\",rpc_method=\"Detail\"";
    let got = "rpc_service=\"comments.BookComments\",rpc_method=\"Get\"";
    let posted = "rpc_service=\"comments.BookComments\",rpc_method=\"Post\"";
    let (ok, http, grpc) = ("rpc_response_status_code=\"OK\"", "transport=\"http\"", "transport=\"grpc\"");
    for (query, calls) in [
        (count("server", "details", &format!("{detail},{ok},{http}")), 3.0),
        (count("server", "details", &format!("{detail},{ok},{grpc}")), 2.0),
        (count("server", "comments", &format!("{got},{ok},{http}")), 1.0),
        (count("server", "comments", &format!("{posted},{ok},{grpc}")), 1.0),
        // Details asks for the comments of every book that there is.
        (count("client", "details", &format!("{got},{ok},{grpc}")), 5.0),
        (count("server", "comments", &format!("{got},{ok},{grpc}")), 5.0),
        (format!("sum({})", count("server", "details", "")), 5.0),
        ("sum(rpc_server_active_calls)".to_owned(), 0.0),
        ("kit_cache_hits_total{job=\"details\",cache=\"books\"}".to_owned(), 4.0),
        ("kit_cache_hits_total{job=\"comments\",cache=\"lists\"}".to_owned(), 5.0),
    ] {
        prometheus.until(&query, |value| (value - calls).abs() < f64::EPSILON).await;
    }
    // Only now: whether comments are asked for a book that is not there depends on which answer comes first.
    assert_eq!(get(addresses.details_http, "/v1/detail?id=4", &[]).await.status, 404);
    let none = count("server", "details", &format!("{detail},{http},rpc_response_status_code=\"NOT_FOUND\""));
    prometheus.until(&none, |value| (value - 1.0).abs() < f64::EPSILON).await;
    for query in [
        "sum(kit_sql_connections{job=\"details\"})",
        "sum(kit_sql_connections_max{job=\"comments\"})",
        "process_resident_memory_bytes{job=\"details\"}",
        "tokio_workers{job=\"comments\"}",
        "kit_trace_spans_recorded_total{job=\"details\"} + 1",
    ] {
        prometheus.until(query, |value| value > 0.0).await;
    }
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_names_that_dashboards_may_use_is_right() {
    // Of a reporter that sends, so that its figures are there; nobody takes the spans.
    let demo = Demo::start(|config| {
        config.details.standard = bookdetails::config::Config::default().standard;
        for telemetry in [&mut config.details.telemetry, &mut config.comments.telemetry] {
            telemetry.spans.to = kit::telemetry::reporter::Destination::Zipkin;
            (telemetry.spans.url, telemetry.spans.attempts) = ("http://127.0.0.1:9".to_owned(), 1);
        }
    })
    .await;
    assert_eq!(get(demo.addresses.details_http, "/v1/detail?id=1", &[]).await.status, 200);
    let mut there = BTreeSet::new();
    for port in [demo.addresses.details_metrics, demo.addresses.comments_metrics] {
        let text = get(port.unwrap(), "/metrics", &["accept: text/plain; version=0.0.4"]).await;
        assert_eq!(text.status, 200);
        promtool_accepts(text.body.as_bytes()).await;
        let names = text.body.lines().filter(|line| !line.starts_with('#'));
        there.extend(names.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned));
        let open = get(port.unwrap(), "/metrics", &["accept: application/openmetrics-text; version=1.0.0"]).await;
        assert!(open.head.contains("application/openmetrics-text") && open.body.ends_with("# EOF\n"), "{}", open.head);
    }
    let listed = listed();
    let missing: Vec<_> = listed.difference(&there).collect();
    let unlisted: Vec<_> = there.difference(&listed).collect();
    assert!(missing.is_empty() && unlisted.is_empty(), "listed, but not there: {missing:?}; not listed: {unlisted:?}");
    demo.stop().await;
}
