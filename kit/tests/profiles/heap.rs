//! Heap profiles.

use std::hint::black_box;

use crate::{
    support::get,
    tools::top,
    work::{Work, churn_memory, retain_memory},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_tool_pprof_shows_who_holds_memory_and_who_allocated_it() {
    let work = Work::start().await;
    let kept = retain_memory(64);
    churn_memory(256);
    let url = work.url("pprof/heap");
    let Some((text, rows)) = top(&["-sample_index=inuse_space", "-unit=MB"], &url).await else { return };
    assert!(rows[0].name.ends_with("work::retain_memory"), "{text}");
    // Samples give estimates, of which these are four standard deviations.
    let about_64 = 50.0..78.0;
    assert!(about_64.contains(&rows[0].flat), "64 MiB are kept: {text}");
    assert!(!text.contains("churn_memory"), "{text}");
    assert!(text.contains("Type: inuse_space"), "{text}");

    let (text, rows) = top(&["-sample_index=inuse_objects", "-nodefraction=0"], &url).await.unwrap();
    assert!(rows.iter().any(|row| row.name.ends_with("work::retain_memory") && row.flat > 0.0), "{text}");

    let (text, rows) = top(&["-unit=MB"], &work.url("pprof/allocs")).await.unwrap();
    assert!(text.contains("Type: alloc_space"), "{text}");
    let of = |name: &str| rows.iter().find(|row| row.name.ends_with(name)).unwrap_or_else(|| panic!("{text}")).flat;
    assert!((230.0..282.0).contains(&of("work::churn_memory")), "{text}");
    // Other tests may have had some too.
    assert!(of("work::retain_memory") > about_64.start, "{text}");
    let (text, rows) =
        top(&["-sample_index=alloc_objects", "-nodefraction=0"], &work.url("pprof/allocs")).await.unwrap();
    assert!(rows.iter().any(|row| row.name.ends_with("work::churn_memory") && row.flat > 0.0), "{text}");
    drop(black_box(kept));
}

/// Runs the test below in a process whose allocator is set up so.
async fn says_in_a_process_with(malloc_conf: &str, expected: &str) {
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "heap::a_heap_profile_is_served_or_it_is_said_why_not", "--nocapture"]);
    child.env("MALLOC_CONF", malloc_conf).env("KIT_EXPECT_REFUSAL", expected);
    let output = child.output().await.unwrap();
    assert!(output.status.success(), "{malloc_conf}: {}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heap_profile_is_served_or_it_is_said_why_not() {
    let work = Work::start().await;
    let expected = std::env::var("KIT_EXPECT_REFUSAL").ok();
    for path in ["/debug/pprof/heap", "/debug/pprof/allocs", "/debug/flamegraph?kind=inuse_space"] {
        let answer = get(work.server.http, path).await;
        match &expected {
            Some(text) => {
                assert_eq!(answer.status, 501, "{path}");
                assert!(answer.text().contains(text), "{path}: {}", answer.text());
            }
            None => assert_eq!(answer.status, 200, "{path}: {}", answer.text()),
        }
    }
}

#[tokio::test]
async fn profiles_that_are_switched_off_say_how_to_switch_them_on() {
    says_in_a_process_with("prof:false", "without prof:false").await;
    says_in_a_process_with("prof_active:false", "without prof_active:false").await;
    says_in_a_process_with("prof_accum:false", "without prof_accum:false").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dumps_asked_for_at_once_come_one_after_the_other_and_leave_no_file() {
    let work = Work::start().await;
    let address = work.server.http;
    let asked: Vec<_> = (0..8).map(|_| tokio::spawn(get(address, "/debug/pprof/heap"))).collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    // Jemalloc writes its dumps to files that are gone when they are read.
    let left: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|path| std::fs::read(path).is_ok_and(|content| content.starts_with(b"heap_v2")))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
