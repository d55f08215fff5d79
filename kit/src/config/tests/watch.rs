//! Files that change, on a clock that stands still until everybody waits.

use std::time::Duration;

use tokio::sync::mpsc;

use super::sources::TempFile;
use crate::{
    Error,
    config::{Loader, Validate, Violations},
};

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    limit: u32,
    addr: String,
}

impl Validate for Config {
    fn validate(&self, report: &mut Violations) {
        report.require(self.limit < 100, "limit", "is too high");
    }
}

/// A file that is watched, and what was taken over.
struct Watched {
    file: TempFile,
    taken: mpsc::Receiver<Config>,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    fn start(name: &str) -> Self {
        let file = TempFile::new(name, "limit: 1\n");
        let loaded = Loader::new("APP").file(&file.0).load_validated::<Config>().unwrap();
        let (sender, taken) = mpsc::channel(10);
        let watch = loaded.watch().live(["limit"]).run(move |config: &Config| {
            if config.limit == 13 {
                return Err(Error::failed_precondition("not this one"));
            }
            sender.try_send(config.clone()).map_err(|error| Error::internal(error.to_string()))
        });
        Self { file, taken, task: tokio::spawn(watch) }
    }

    /// What is taken over within a minute; `None` for nothing.
    async fn after(&mut self, content: &str) -> Option<u32> {
        // Into its place at once, as editors and Kubernetes do it: another file by the same name.
        let next = TempFile::new(&format!("{:?}", tokio::time::Instant::now()), content);
        std::fs::rename(&next.0, &self.file.0).unwrap();
        tokio::time::timeout(Duration::from_secs(60), self.taken.recv()).await.ok().flatten().map(|config| config.limit)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_taken_over_and_a_bad_one_is_not() {
    let mut watched = Watched::start("watch.yaml");
    assert_eq!(watched.after("limit: 2\n").await, Some(2));
    for bad in ["limit: 200\n", "limit: [\n", "limt: 3\n", "limit: 13\n"] {
        assert_eq!(watched.after(bad).await, None, "{bad}");
    }
    std::fs::remove_file(&watched.file.0).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), watched.taken.recv()).await.is_err(), "a file that is gone");
    assert_eq!(watched.after("limit: 4\naddr: other\n").await, Some(4));
    assert_eq!(watched.after("limit: 4\naddr: other\n").await, Some(4), "a file that was replaced is read again");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_still_written_is_not_read() {
    let mut watched = Watched::start("writing.yaml");
    for length in 0..50 {
        // As long as it grows from look to look nothing of it is taken.
        std::fs::write(&watched.file.0, format!("limit: 5 #{}\n", "x".repeat(length))).unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(watched.taken.try_recv().is_err(), "after {length}");
    }
    let taken = tokio::time::timeout(Duration::from_secs(60), watched.taken.recv()).await.unwrap();
    assert_eq!(taken.unwrap().limit, 5);
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_watch() {
    let loaded = Loader::new("APP").text("built in", "limit: 1").load_validated::<Config>().unwrap();
    loaded.watch().run(|_| Ok(())).await;
}
