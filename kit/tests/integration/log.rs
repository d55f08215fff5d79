//! The log of a process: its last lines, its file on a disk that is full or read-only, its level while it runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use kit::{
    Code, Context, Streaming,
    endpoint::current::{self, Ids},
    middleware::StandardStack,
    telemetry::log::{FileConfig, Log, LogConfig, LogFormat, Rotate},
};
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{
    chat::proto::chat::Line,
    support::{self, Running, counting, get, line, soon},
};

/// A folder of its own for a test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kit-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file system of 64 KiB, if this user may make one.
struct Disk(Folder);

impl Disk {
    #[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn mount(name: &str) -> Option<Self> {
        let folder = Folder::new(name);
        if mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &folder.0) {
            return Some(Self(folder));
        }
        println!("skipped: this user may not mount a file system");
        None
    }
    fn path(&self) -> &Path {
        &self.0.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount").args(arguments).arg(at).output().is_ok_and(|output| output.status.success())
}

/// Runs one test of this binary again, in a process whose log is its own.
fn run_again(test: &str, value: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([test, "--exact", "--nocapture"]).env(AGAIN, value).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// Set in such a process.
const AGAIN: &str = "KIT_TEST_LOG_AGAIN";

fn again() -> Option<PathBuf> {
    std::env::var_os(AGAIN).map(PathBuf::from)
}

/// The lines of a log among what a process printed.
fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn to_file(path: &Path) -> LogConfig {
    LogConfig { stdout: false, file: FileConfig::new(path), ..LogConfig::default() }
}

/// A log for this thread, as long as the guard lives.
fn started(config: &LogConfig) -> (Log, tracing::subscriber::DefaultGuard) {
    let (layer, log) = config.start().unwrap();
    (log, tracing::subscriber::set_default(tracing_subscriber::registry().with(layer)))
}

#[test]
fn the_last_lines_of_a_process_are_written_though_nobody_kept_the_handle() {
    if again().is_some() {
        LogConfig::default().init().unwrap();
        for number in 0..1000 {
            tracing::info!(number, "line");
        }
        return;
    }
    let folder = Folder::new("last");
    let test = "log::the_last_lines_of_a_process_are_written_though_nobody_kept_the_handle";
    let numbers: Vec<_> = lines(&run_again(test, &folder.0).stdout).iter().map(|l| l["number"].as_u64()).collect();
    assert_eq!(numbers, (0..1000).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_folder_that_can_not_be_made_is_told_on_stdout_and_the_service_goes_on() {
    if let Some(folder) = again() {
        let blocked = folder.join("file");
        fs::write(&blocked, "in the way").unwrap();
        let file = FileConfig::new(blocked.join("service.log"));
        let log = LogConfig { format: LogFormat::Json, file, ..LogConfig::default() }.init().unwrap();
        for _ in 0..3 {
            tracing::info!("the service goes on");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(runtime.block_on(log.close()));
        let figures = log.figures();
        assert_eq!((figures.dropped, figures.written), (3, 4), "three on stdout and what is told there");
        assert!(figures.errors > 0);
        tracing::info!("after the end");
        return;
    }
    let folder = Folder::new("blocked");
    let test = "log::a_folder_that_can_not_be_made_is_told_on_stdout_and_the_service_goes_on";
    let lines = lines(&run_again(test, &folder.0).stdout);
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let count = |text: &str| messages.iter().filter(|message| message.contains(text)).count();
    assert_eq!(count("the service goes on"), 3);
    assert_eq!(count("after the end"), 1);
    assert_eq!(count("/file/service.log can't be written"), 1, "{messages:?}");
}

#[test]
fn without_stdout_it_is_told_on_stderr() {
    if let Some(folder) = again() {
        fs::write(folder.join("file"), "in the way").unwrap();
        let log = to_file(&folder.join("file/service.log")).init().unwrap();
        tracing::info!("lost");
        drop(log);
        return;
    }
    let folder = Folder::new("stderr");
    let output = run_again("log::without_stdout_it_is_told_on_stderr", &folder.0);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches("can't be written").count(), 1, "{told}");
    assert!(lines(&output.stdout).is_empty());
}

#[test]
fn stdout_and_the_file_have_forms_of_their_own() {
    if let Some(folder) = again() {
        let config = LogConfig {
            format: LogFormat::Text,
            file: FileConfig::new(folder.join("logs/service.log")),
            ..LogConfig::default()
        };
        config.init().unwrap();
        tracing::info!(answer = 42, "ready");
        return;
    }
    let folder = Folder::new("forms");
    let output = run_again("log::stdout_and_the_file_have_forms_of_their_own", &folder.0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.ends_with("ready answer=42")).count(), 1, "{text}");
    let lines = file_lines(&folder.0.join("logs/service.log"));
    assert_eq!((lines.len(), &lines[0]["answer"]), (1, &42.into()));
}

#[tokio::test]
async fn a_full_disk_costs_lines_and_is_used_again_when_there_is_room() {
    let Some(disk) = Disk::mount("full") else { return };
    let path = disk.path().join("logs/service.log");
    let (log, _guard) = started(&to_file(&path));
    tracing::info!("before");
    assert!(log.flush().await);
    // All that is left, to the last byte.
    fs::write(disk.path().join("filler"), vec![0; 64 << 10]).unwrap_err();
    let long = "x".repeat(8 << 10);
    for number in 0..20 {
        tracing::info!(number, long, "while it is full");
    }
    assert!(log.flush().await);
    let figures = log.figures();
    assert!(figures.dropped > 0 && figures.errors > 0, "{figures:?}");
    fs::remove_file(disk.path().join("filler")).unwrap();
    tracing::info!("after");
    assert!(log.close().await);
    assert_eq!(log.figures().written, 22 - figures.dropped);
    // What is there is whole lines: nothing was left of those that did not fit.
    let lines = file_lines(&path);
    assert_eq!(lines.first().unwrap()["message"], "before");
    assert_eq!(lines.last().unwrap()["message"], "after");
    assert_eq!(lines.len() as u64, log.figures().written);
}

#[tokio::test]
async fn a_read_only_folder_costs_lines_and_is_used_when_it_can_be_written() {
    let Some(disk) = Disk::mount("read-only") else { return };
    let path = disk.path().join("logs/service.log");
    assert!(mount(&["-o", "remount,ro"], disk.path()));
    let (log, _guard) = started(&to_file(&path));
    tracing::info!("lost");
    assert!(log.flush().await);
    assert_eq!((log.figures().written, log.figures().dropped), (0, 1));
    assert!(mount(&["-o", "remount,rw"], disk.path()));
    tracing::info!("written");
    assert!(log.close().await);
    let lines = file_lines(&path);
    assert_eq!((lines.len(), &lines[0]["message"]), (1, &"written".into()));
}

#[tokio::test]
async fn the_level_changes_with_the_next_line() {
    let folder = Folder::new("level");
    let path = folder.0.join("service.log");
    let (log, _guard) = started(&LogConfig { level: "warn".to_owned(), ..to_file(&path) });
    let say = |text: &str| tracing::debug!(target: "shop", text, "line");
    say("too early");
    log.set_level("info,shop=debug").unwrap();
    say("wanted");
    let refused = log.set_level("info,shop=lou d").unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("lou d") && refused.message().contains("debug"), "{refused}");
    assert_eq!(log.set_level(" ").unwrap_err().code(), Code::InvalidArgument);
    // It was taken for all lines of that target.
    assert!(log.set_level("info,shop=").unwrap_err().message().contains("names no level"));
    assert_eq!(log.level(), "info,shop=debug", "a change that was refused changes nothing");
    say("still wanted");
    log.reset();
    assert_eq!(log.level(), "warn");
    say("too late");
    assert!(log.close().await);
    let texts: Vec<_> = file_lines(&path).iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["wanted", "still wanted"]);
}

#[tokio::test(start_paused = true)]
async fn a_level_for_a_time_goes_back_to_what_was_set_before() {
    let folder = Folder::new("level-for");
    let (log, _guard) = started(&to_file(&folder.0.join("service.log")));
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert_eq!(log.set_level_for("debug", Duration::ZERO).unwrap_err().code(), Code::InvalidArgument);
    log.set_level_for("debug", minutes(10)).unwrap();
    tokio::time::sleep(minutes(9)).await;
    assert_eq!(log.level(), "debug");
    tokio::time::sleep(minutes(2)).await;
    assert_eq!(log.level(), "info");

    log.set_level("warn").unwrap();
    log.set_level_for("trace", minutes(1)).unwrap();
    // A later one takes the place of the earlier, whose time does not count any more.
    log.set_level_for("debug", minutes(10)).unwrap();
    tokio::time::sleep(minutes(2)).await;
    assert_eq!(log.level(), "debug");
    tokio::time::sleep(minutes(9)).await;
    assert_eq!(log.level(), "warn");

    log.set_level_for("debug", minutes(1)).unwrap();
    log.set_level("error").unwrap();
    tokio::time::sleep(minutes(2)).await;
    assert_eq!(log.level(), "error", "what was set for good stays");
}

#[tokio::test]
async fn lines_of_streams_and_of_spawned_tasks_have_the_ids_of_their_call() {
    let log = support::Log::start();
    let endpoints = counting(|cx: Context, _| async move {
        tracing::info!(target: "test::ids", "handler");
        let (sender, stream) = Streaming::channel(1);
        tokio::spawn(current::scope(Ids::from(&cx), async move {
            tracing::info!(target: "test::ids", "task");
            let _ = sender.send(Ok(line("one"))).await;
        }));
        Ok(stream.and_then(|line: Line| {
            tracing::info!(target: "test::ids", "stream");
            Ok(line)
        }))
    });
    let running = Running::serve(&endpoints.with(&StandardStack::default())).await;
    let request = support::request(running.http, "GET", "/v1/count/1", &["x-request-id: log-ids"], b"");
    assert_eq!(soon(request).await.status, 200);
    log.wait_for_calls("log-ids", 1).await;
    let lines = log.of("log-ids");
    let mut messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    messages.sort_unstable();
    assert_eq!(messages, ["call", "handler", "stream", "task"]);
    assert!(lines.iter().all(|line| line["method"] == "chat.Chat/Count"), "{lines:?}");
    // And no line of another call has them.
    assert_eq!(get(running.http, "/v1/count/1").await.status, 200);
    assert_eq!(log.of("log-ids").len(), 4);
}

#[test]
fn settings_are_read_checked_and_written() {
    let config: LogConfig = serde_json::from_str(
        r#"{"stdout": false, "file": {"path": "logs/a.log", "max_size": "5MiB", "rotate": "never", "max_files": 3}}"#,
    )
    .unwrap();
    assert_eq!((config.file.max_size, config.file.rotate, config.file.max_files), (5 << 20, Rotate::Never, 3));
    assert_eq!(serde_json::to_value(&config).unwrap()["file"]["max_size"], "5MiB");
    for (wrong, what) in [
        (r#"{"file": {"max_size": "5"}}"#, "has no unit"),
        (r#"{"file": {"max_size": 5}}"#, "has no unit"),
        (r#"{"file": {"rotate": "hourly"}}"#, "hourly"),
        (r#"{"file": {"path": "a", "age": 1}}"#, "age"),
    ] {
        let error = serde_json::from_str::<LogConfig>(wrong).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    for (wrong, what) in [
        (r#"{"file": {"path": "logs/.."}}"#, "log.file.path must end in the name of a file"),
        (r#"{"file": {"max_size": "1B"}}"#, "log.file.max_size must be at least 1KiB"),
        (r#"{"file": {"max_files": 0}}"#, "log.file.max_files must be from 1 to 1000"),
        (r#"{"stdout": false}"#, "log.stdout is off and there is no file.path"),
        (r#"{"level": "loud"}"#, "log.level \"loud\" can't be read"),
    ] {
        let config: LogConfig = serde_json::from_str(wrong).unwrap();
        let error = config.start::<tracing_subscriber::Registry>().err().unwrap();
        assert!(error.message().starts_with(what), "{error}");
    }
}
