//! Flame graphs.

use crate::{
    support::{Answer, get},
    tools::assert_xml,
    work::{Work, retain_memory},
};

async fn ask(work: &Work, query: &str) -> Answer {
    let answer = get(work.server.http, &format!("/debug/flamegraph{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_of_cpu_time_can_be_searched_kept_and_compared() {
    let work = Work::under_load().await;
    let first = ask(&work, "?seconds=1").await;
    assert_eq!(first.header("content-type"), Some("image/svg+xml"));
    assert_eq!(first.header("x-profile-id"), Some("1"));
    assert_xml(&first.body).await;
    let text = first.text();
    for part in ["work::burn_cycles", "id 1: ", "function search(", "function zoom("] {
        assert!(text.contains(part), "{part}");
    }
    let second = ask(&work, "?seconds=1.5&hz=200&diff=1").await;
    assert_eq!(second.header("x-profile-id"), Some("2"));
    assert_xml(&second.body).await;
    assert!(second.text().contains("2 against 1") && second.text().contains("work::burn_cycles"));

    // What is kept is drawn again without being recorded again.
    let again = ask(&work, "?id=1").await;
    assert_eq!(again.header("x-profile-id"), Some("1"));
    assert_eq!(ask(&work, "?id=2&diff=1").await.text(), second.text());

    let collapsed = ask(&work, "?id=1&format=collapsed").await.text();
    let line = collapsed.lines().find(|line| line.contains("work::burn_cycles")).unwrap();
    let (stack, nanos) = line.rsplit_once(' ').unwrap();
    assert!(stack.ends_with("work::burn_cycles") && nanos.parse::<u64>().unwrap() > 0, "{line}");
    let compared = ask(&work, "?id=2&diff=1&format=collapsed").await.text();
    let line = compared.lines().find(|line| line.contains("work::burn_cycles")).unwrap();
    assert_eq!(line.rsplit(' ').take(2).filter(|value| value.parse::<u64>().is_ok()).count(), 2, "{line}");

    let list = get(work.server.http, "/debug/flamegraph/list").await.text();
    assert!(list.starts_with("2 CPU time, ") && list.contains("\n1 CPU time, "), "{list}");
    let index = get(work.server.http, "/debug/pprof/").await.text();
    assert!(index.contains("&amp;diff=2\">a new one against it"), "{index}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphs_of_memory_show_who_holds_it() {
    let work = Work::start().await;
    let before = ask(&work, "?kind=inuse_space").await;
    let kept = retain_memory(16);
    let grown = ask(&work, "?kind=inuse_space&diff=1&format=collapsed").await.text();
    assert!(ask(&work, "?kind=inuse_space").await.text().contains("work::retain_memory"));
    for kind in ["inuse_space", "alloc_space", "inuse_objects", "alloc_objects"] {
        let graph = ask(&work, &format!("?kind={kind}")).await;
        assert_xml(&graph.body).await;
        // A frame that is narrower than a dot is not drawn, but it is in the text.
        let text = ask(&work, &format!("?kind={kind}&format=collapsed")).await.text();
        assert!(text.contains("work::retain_memory"), "{kind}");
    }
    let of = |line: &&str| line.contains("work::retain_memory");
    let line = grown.lines().find(of).unwrap();
    let mut values = line.rsplit(' ').map(|value| value.parse::<i64>().unwrap());
    let (now, then) = (values.next().unwrap(), values.next().unwrap());
    assert!(now - then >= 8 << 20, "16 MiB have come: {line}");
    assert_eq!(before.header("x-profile-id"), Some("1"));
    drop(kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_refused_with_what_is() {
    let work = Work::start().await;
    let refused = async |query: &str| {
        let answer = get(work.server.http, &format!("/debug/flamegraph{query}")).await;
        (answer.status, answer.text())
    };
    let (status, text) = refused("?diff=7").await;
    assert!(status == 404 && text.contains("kept are: none"), "{text}");
    ask(&work, "?kind=inuse_space").await;
    for (query, expected, hint) in [
        ("?diff=7", 404, "kept are: 1"),
        ("?id=x", 404, "kept are: 1"),
        ("?diff=1", 400, "is of inuse_space and can't be compared with cpu"),
        ("?kind=heap", 400, "inuse_space, alloc_space"),
        ("?kind=inuse_space&seconds=5", 400, "seconds is for kind=cpu"),
        ("?id=1&hz=5", 400, "id and hz exclude each other"),
        ("?format=png", 400, "svg, collapsed"),
        ("?seconds=1e9", 400, "from 1 to 300"),
        ("?hz=1000", 400, "from 1 to 999"),
        ("?colour=red", 400, "seconds, hz, kind, diff, id, format"),
    ] {
        let (status, text) = refused(query).await;
        assert!(status == expected && text.contains(hint), "{query}: {status} {text}");
    }
}
