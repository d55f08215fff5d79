//! CPU profiles.

use crate::{
    support::{get, soon},
    tools::top,
    work::{Work, burn_cycles},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_tool_pprof_shows_the_busy_function_on_top() {
    let work = Work::under_load().await;
    let Some((text, rows)) = top(&[], &work.url("pprof/profile?seconds=2")).await else { return };
    let (first, line) = (&rows[0], text.lines().next().unwrap_or_default());
    assert!(first.name.ends_with("work::burn_cycles") && first.flat > 0.0, "{text}");
    assert!(line.contains("profiles-"), "the file of the program is named: {text}");
    assert!(text.contains("Type: cpu") && text.contains("Duration: 2"), "{text}");
    // Its callers are there too, up to the task that ran the call.
    let (text, _) = top(&["-cum", "-nodecount=500"], &work.url("pprof/profile?seconds=1&hz=250")).await.unwrap();
    for caller in ["work::busy", "tokio::runtime::task"] {
        assert!(text.contains(caller), "{caller}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_of_a_process_that_does_nothing_is_a_profile() {
    let work = Work::start().await;
    let answer = soon(get(work.server.http, "/debug/pprof/profile?seconds=1")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"profile\""));
    assert_eq!(answer.body[..2], [0x1f, 0x8b], "it is gzipped");
    assert!(burn_cycles() > 0);
}
