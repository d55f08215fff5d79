use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use super::*;
use crate::Code;

fn cx() -> Context {
    Context::background()
}

fn of(tasks: &Tasks, name: &str) -> TaskFigures {
    tasks.figures().into_iter().find(|figures| figures.name == name).unwrap_or_default()
}

/// A task that waits for a word.
fn waiting(tasks: &Tasks, name: &'static str) -> oneshot::Sender<()> {
    let (go, gone) = oneshot::channel();
    tasks
        .spawn(name, &cx(), async {
            let _ = gone.await;
        })
        .unwrap();
    go
}

/// Longer than any test waits: on a paused clock it passes at once when nothing else can happen.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_task_has_the_ids_of_its_call() {
    let tasks = Tasks::new();
    let (told, hear) = oneshot::channel();
    let cx = cx();
    tasks
        .spawn("tell", &cx, async {
            tokio::task::yield_now().await;
            let _ = told.send(current::get().map(|ids| ids.request_id));
        })
        .unwrap();
    assert_eq!(hear.await.unwrap().as_ref(), Some(cx.request_id()));
    assert_eq!(tasks.close(LONG).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_what_runs_and_takes_nothing_new() {
    let tasks = Tasks::new();
    let (go, done) = (waiting(&tasks, "slow"), Arc::new(AtomicBool::new(false)));
    let (closing, seen) = (tasks.clone(), Arc::clone(&done));
    let closing = tokio::spawn(async move {
        let cut = closing.close(LONG).await;
        (cut, seen.load(Ordering::Relaxed))
    });
    tokio::task::yield_now().await;
    let error = tasks.spawn("late", &cx(), async {}).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!((of(&tasks, "late").refused, of(&tasks, "slow").running), (1, 1));
    done.store(true, Ordering::Relaxed);
    go.send(()).unwrap();
    assert_eq!(closing.await.unwrap(), (0, true));
    let figures = of(&tasks, "slow");
    assert_eq!((figures.running, figures.spawned, figures.finished), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_cut_and_counted() {
    let tasks = Tasks::new();
    let kept = [waiting(&tasks, "stuck"), waiting(&tasks, "stuck")];
    drop(waiting(&tasks, "quick"));
    assert_eq!(tasks.close(Duration::from_secs(5)).await, 2);
    assert!(kept.iter().all(oneshot::Sender::is_closed), "their futures are gone");
    assert_eq!((tasks.running(), of(&tasks, "stuck").finished, of(&tasks, "quick").finished), (0, 0, 1));
    assert_eq!(tasks.close(LONG).await, 0, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn what_runs_for_ever_is_told_to_stop() {
    let tasks = Tasks::new();
    let (told, hear) = oneshot::channel();
    tasks
        .spawn_until_stopped("sweep", |stop| async move {
            stop.cancelled().await;
            let _ = told.send("swept");
        })
        .unwrap();
    assert_eq!(tasks.close(LONG).await, 0);
    assert_eq!(hear.await.unwrap(), "swept");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_counted_and_harms_nobody() {
    let tasks = Tasks::new();
    let go = waiting(&tasks, "other");
    for _ in 0..3 {
        tasks
            .spawn("fragile", &cx(), async {
                tokio::task::yield_now().await;
                panic!("glass");
            })
            .unwrap();
    }
    go.send(()).unwrap();
    assert_eq!(tasks.close(LONG).await, 0);
    let figures = of(&tasks, "fragile");
    assert_eq!((figures.panicked, figures.finished, figures.running, figures.spawned), (3, 0, 0, 3));
    assert_eq!(of(&tasks, "other").finished, 1);
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_no_task_is_started() {
    let tasks = Tasks::with_config(&TasksConfig { max_running: 2 });
    let (first, _second) = (waiting(&tasks, "a"), waiting(&tasks, "b"));
    let error = tasks.spawn("c", &cx(), async {}).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(error.to_log().to_string().contains("\"c\""), "{}", error.to_log());
    assert_eq!((of(&tasks, "c").refused, of(&tasks, "c").spawned), (1, 0));
    // A place that is free again is taken.
    first.send(()).unwrap();
    while tasks.running() > 1 {
        tokio::task::yield_now().await;
    }
    tasks.spawn("c", &cx(), async {}).unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_the_last_clone_what_runs_is_cut() {
    let tasks = Tasks::new();
    let mut kept = waiting(&tasks, "left");
    drop(tasks.clone());
    tokio::task::yield_now().await;
    assert!(!kept.is_closed());
    drop(tasks);
    kept.closed().await;
}

/// Ids that are read in the middle of a spawn, and close the tasks then.
struct ClosedMeanwhile<'a>(&'a Tasks);

impl From<ClosedMeanwhile<'_>> for Ids {
    fn from(closed: ClosedMeanwhile<'_>) -> Self {
        assert_eq!(closed.0.close(LONG).now_or_never(), None, "a close waits for a task that is being started");
        Self::from(&cx())
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_in_the_middle_of_a_spawn_waits_for_the_task() {
    let tasks = Tasks::new();
    let (told, hear) = oneshot::channel();
    tasks
        .spawn("last", ClosedMeanwhile(&tasks), async {
            let _ = told.send("done");
        })
        .unwrap();
    assert_eq!((tasks.close(LONG).await, hear.await.unwrap()), (0, "done"));
    assert_eq!(tasks.spawn("late", &cx(), async {}).unwrap_err().code(), Code::Unavailable);
    assert_eq!(tasks.close(LONG).now_or_never(), Some(0), "a task that was refused is not waited for");
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn figures_that_are_shown_keep_no_task() {
    use crate::telemetry::metrics::{Format, Metrics};

    let (metrics, tasks) = (Metrics::new(), Tasks::with_config(&TasksConfig { max_running: 1 }));
    tasks.observe(&metrics).unwrap();
    let mut kept = waiting(&tasks, "left");
    tasks.spawn("more", &cx(), async {}).unwrap_err();
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    assert!(
        text().contains("\nkit_tasks_running 1\n") && text().contains("\nkit_tasks_refused_total 1\n"),
        "{}",
        text()
    );
    drop(tasks);
    kept.closed().await;
}
