//! What else is under `/debug/pprof/`.

use crate::{
    support::{get, request, soon},
    work::{Work, burn_cycles},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_links_to_all_that_there_is() {
    let work = Work::start().await;
    let answer = get(work.server.http, "/debug/pprof").await;
    assert_eq!((answer.status, answer.header("location")), (308, Some("pprof/")));
    let answer = get(work.server.http, "/debug/pprof/").await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let text = answer.text();
    for name in ["profile", "heap", "allocs", "trace", "cmdline", "symbol", "../flamegraph"] {
        assert!(text.contains(&format!("href=\"{name}")), "{name}");
    }
    let answer = get(work.server.http, "/debug/pprof/goroutine").await;
    assert!(answer.status == 404 && answer.text().contains("profile, heap, allocs"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_said_to_who_leaves_it() {
    let work = Work::start().await;
    for (path, hint) in [
        ("profile?seconds=1e9", "seconds=1e9 must be a number from 1 to 300"),
        ("profile?seconds=0", "from 1 to 300"),
        ("profile?hz=1000000", "from 1 to 999"),
        ("profile?seconds=", "from 1 to 300"),
        ("profile?debug=1", "there are: seconds, hz"),
        ("trace?seconds=61", "from 1 to 60"),
        ("trace?hz=1000", "from 1 to 200"),
        ("heap?gc=1", "there are: none"),
    ] {
        let answer = get(work.server.http, &format!("/debug/pprof/{path}")).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains(hint), "{path}: {}", answer.text());
        // With this header `go tool pprof` shows the text.
        assert_eq!(answer.header("x-go-pprof"), Some("1"));
    }
    work.idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_and_symbols_are_as_go_has_them() {
    let work = Work::start().await;
    let text = get(work.server.http, "/debug/pprof/cmdline").await.text();
    let arguments: Vec<String> = std::env::args().collect();
    assert_eq!(text.split('\0').collect::<Vec<_>>(), arguments);

    let number = get(work.server.http, "/debug/pprof/symbol").await.text();
    assert_eq!(number, "num_symbols: 1\n");
    let address = burn_cycles as *const () as usize;
    let asked = format!("{address:#x}+0x1");
    for answer in [
        get(work.server.http, &format!("/debug/pprof/symbol?{asked}")).await,
        request(work.server.http, "POST", "/debug/pprof/symbol", &[], asked.as_bytes()).await,
    ] {
        let text = answer.text();
        let line =
            text.lines().find(|line| line.starts_with(&format!("{address:#x} "))).unwrap_or_else(|| panic!("{text}"));
        assert!(line.ends_with("work::burn_cycles"), "{text}");
    }
    let large = vec![b'0'; 1024 * 1024 + 1];
    assert_eq!(request(work.server.http, "POST", "/debug/pprof/symbol", &[], &large).await.status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_shows_workers_and_threads() {
    let work = Work::under_load().await;
    let answer = soon(get(work.server.http, "/debug/pprof/trace?seconds=1&hz=50")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let trace = answer.json();
    let events = trace["traceEvents"].as_array().unwrap();
    let largest = |name: &str| {
        let values = events.iter().filter(|event| event["name"].as_str().unwrap().starts_with(name));
        values.filter_map(|event| event["args"]["value"].as_u64()).max()
    };
    for name in ["worker 0 busy %", "worker 1 parked", "tasks alive", "thread tokio"] {
        assert!(largest(name).is_some_and(|value| value > 0), "{name}: {trace}");
    }
    let last = events.iter().filter_map(|event| event["ts"].as_u64()).max().unwrap();
    assert!((500_000..=1_500_000).contains(&last), "{last}");
}
