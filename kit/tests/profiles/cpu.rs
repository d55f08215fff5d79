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

/// Runs the test below in a process of its own, since its profiler is lost.
#[tokio::test]
async fn a_profiler_that_could_not_end_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "cpu::in_a_process_whose_temporary_folder_goes_away", "--nocapture"]);
    let output = child.env("TMPDIR", folder.path()).env(LOST, "1").output().await.unwrap();
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// Set in the process that is to lose its profiler.
const LOST: &str = "KIT_LOSE_THE_PROFILER";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_process_whose_temporary_folder_goes_away() {
    let work = Work::start().await;
    if std::env::var_os(LOST).is_none() {
        assert_eq!(soon(get(work.server.http, "/debug/pprof/profile?seconds=1")).await.status, 200);
        return;
    }
    let address = work.server.http;
    assert_eq!(soon(get(address, "/debug/pprof/profile?seconds=1")).await.status, 200);
    let asked = tokio::spawn(async move { get(address, "/debug/pprof/profile?seconds=1").await });
    work.recording().await;
    std::fs::remove_dir_all(std::env::temp_dir()).unwrap();
    // This one has its samples already.
    assert_eq!(soon(asked).await.unwrap().status, 200);
    work.idle().await;
    let refused = get(address, "/debug/pprof/profile?seconds=1").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("temporary folder") && refused.text().contains("restart"), "{}", refused.text());
}
