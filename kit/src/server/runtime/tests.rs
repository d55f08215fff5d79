//! The threads themselves.

use std::sync::mpsc;

use super::*;

fn config(threads: usize) -> CoresConfig {
    CoresConfig { threads: threads.try_into().ok(), ..CoresConfig::default() }
}

#[tokio::test]
async fn each_core_is_a_thread_and_all_are_joined() {
    let cores = Cores::start(&CoresConfig { pin: true, ..config(3) }).unwrap();
    let mut names = Vec::new();
    for core in 0..3 {
        let handle = cores.place(core).0.unwrap();
        let name = async {
            // What wakes it comes from its own thread.
            tokio::task::yield_now().await;
            std::thread::current().name().map(str::to_owned)
        };
        names.push(handle.spawn(name).await.unwrap().unwrap());
    }
    assert_eq!(names, ["kit-core-0", "kit-core-1", "kit-core-2"]);
    let handle = cores.place(0).0.unwrap().clone();
    assert!(cores.place(3).0.is_none());
    cores.end().await;
    assert!(handle.spawn(async {}).await.unwrap_err().is_cancelled(), "its runtime is gone");
}

/// The clock of the test jumps to the end of the wait; nothing else could end it.
#[tokio::test(start_paused = true)]
async fn a_thread_that_is_blocked_is_not_waited_for() {
    let cores = Cores::start(&config(1)).unwrap();
    let (blocks, blocked) = mpsc::sync_channel(1);
    let (free, freed) = mpsc::sync_channel::<()>(1);
    cores.place(0).0.unwrap().spawn(async move {
        blocks.send(()).unwrap();
        let _ = freed.recv();
    });
    blocked.recv().unwrap();
    cores.end().await;
    drop(free);
}

#[tokio::test]
async fn a_thread_that_panics_is_told() {
    let mut cores = Cores::start_with(&config(2), |index, ended| async move {
        assert_ne!(index, 1, "tired");
        ended.cancelled().await;
    })
    .unwrap();
    assert_eq!(cores.died().await.to_string(), "the thread of core 1 panicked, and its calls were cut");
    cores.end().await;
}

#[test]
fn there_is_one_for_each_core_unless_told_otherwise() {
    use crate::validate::Validate as _;
    let all = std::thread::available_parallelism().unwrap().get();
    assert_eq!(CoresConfig::default().number(), all);
    assert_eq!(config(3).number(), 3);
    assert_eq!(CoresConfig { reuse_port: false, ..config(3) }.listeners(), 1);
    assert!(config(1025).check("cores").is_err());
}
