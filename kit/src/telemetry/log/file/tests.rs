use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use super::*;
use crate::telemetry::log::LogFormat;

/// A folder of its own for a test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kit-log-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
    /// Names and contents, sorted.
    fn files(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(&self.0).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
        let mut files: Vec<_> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }
    fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const DAY: u64 = 86_400;
/// 2026-08-01.
const AUGUST: u64 = 20_666 * DAY;

struct Written {
    file: RollingFile,
    now: Arc<AtomicU64>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Written {
    fn new(path: &Path, change: impl FnOnce(&mut FileConfig)) -> Self {
        let mut config = FileConfig { format: LogFormat::Text, ..FileConfig::new(path) };
        change(&mut config);
        let now = Arc::new(AtomicU64::new(AUGUST));
        let said = Arc::new(Mutex::new(Vec::new()));
        let (clock, saying) = (Arc::clone(&now), Arc::clone(&said));
        let tell = Box::new(move |text: &str| saying.lock().unwrap().push(text.to_owned()));
        let mut file = RollingFile::new(path, &config, tell);
        file.clock = Box::new(move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed)));
        Self { file, now, said }
    }
    fn write(&mut self, lines: &str) -> Lost {
        self.file.write(lines.as_bytes())
    }
    fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }
    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().unwrap())
    }
}

fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn a_full_file_is_put_aside_at_the_end_of_a_line() {
    let folder = Folder::new("size");
    let mut log = Written::new(&folder.0.join("a.log"), |config| config.max_size = 8);
    assert_eq!(log.write("one\ntwo\nthree\n"), Lost::default());
    log.write("a line that is larger than a file\nx\n");
    let expected = [
        ("a.log", "x\n"),
        ("a.log.2026-08-01.1", "one\ntwo\n"),
        ("a.log.2026-08-01.2", "three\n"),
        ("a.log.2026-08-01.3", "a line that is larger than a file\n"),
    ];
    assert_eq!(folder.files(), pairs(&expected));
}

#[test]
fn each_utc_day_has_files_of_its_own() {
    let folder = Folder::new("day");
    let mut log = Written::new(&folder.0.join("a.log"), |_| {});
    log.pass(DAY - 1);
    log.write("first\n");
    log.pass(1);
    log.write("second\n");
    log.pass(3 * DAY);
    log.write("fifth\n");
    let expected = [("a.log", "fifth\n"), ("a.log.2026-08-01.1", "first\n"), ("a.log.2026-08-02.1", "second\n")];
    assert_eq!(folder.files(), pairs(&expected));
}

#[test]
fn a_clock_that_goes_back_and_a_log_that_does_not_rotate_by_day_stay_in_their_file() {
    let folder = Folder::new("back");
    let mut log = Written::new(&folder.0.join("a.log"), |_| {});
    log.write("first\n");
    log.now.store(AUGUST - 5 * DAY, Ordering::Relaxed);
    log.write("second\n");
    assert_eq!(folder.names(), ["a.log"]);

    let mut log = Written::new(&folder.0.join("b.log"), |config| config.rotate = Rotate::Never);
    log.write("first\n");
    log.pass(5 * DAY);
    log.write("second\n");
    assert_eq!(folder.names(), ["a.log", "b.log"]);
}

#[test]
fn the_oldest_files_go_and_no_file_of_others_does() {
    let folder = Folder::new("count");
    let others = ["a.log.1", "a.log.2026-08-01.1.gz", "b.log.2020-01-01.1", "a.log.old"];
    for other in others {
        fs::write(folder.0.join(other), "theirs").unwrap();
    }
    let mut log = Written::new(&folder.0.join("a.log"), |config| {
        config.max_size = 4;
        config.max_files = 3;
    });
    // Numbers have an order of their own: 10 comes after 9.
    for number in 1..=12 {
        log.write(&format!("{number:03}\n"));
    }
    log.pass(DAY);
    log.write("new\n");
    let mut expected = vec!["a.log", "a.log.2026-08-01.11", "a.log.2026-08-01.12"];
    expected.extend(others);
    expected.sort_unstable();
    assert_eq!(folder.names(), expected);

    let mut log = Written::new(&folder.0.join("a.log"), |config| config.max_files = 1);
    log.pass(2 * DAY);
    log.write("newer\n");
    let mut expected = vec!["a.log"];
    expected.extend(others);
    expected.sort_unstable();
    assert_eq!(folder.names(), expected, "fewer files are kept at once when fewer are configured");
}

#[test]
fn a_service_that_starts_again_goes_on_with_its_file() {
    let folder = Folder::new("restart");
    let path = folder.0.join("sub/deeper/a.log");
    Written::new(&path, |_| {}).write("before\n");
    let modified = UNIX_EPOCH + Duration::from_secs(AUGUST);
    let set = |time| File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    set(modified);
    let mut log = Written::new(&path, |config| config.max_size = 12);
    log.write("after\n");
    let content = || fs::read_to_string(&path).unwrap();
    let aside = path.with_file_name("a.log.2026-08-01.1");
    assert_eq!((content(), fs::read_to_string(aside).unwrap()), ("after\n".to_owned(), "before\n".to_owned()));
    Written::new(&path, |_| {}).write("on\n");
    assert_eq!(content(), "after\non\n");
    // What was written yesterday is yesterday's, whoever wrote it.
    set(modified);
    let mut log = Written::new(&path, |_| {});
    log.pass(DAY);
    log.write("today\n");
    assert_eq!(content(), "today\n");
}

#[test]
fn a_file_that_somebody_moved_away_is_made_anew() {
    let folder = Folder::new("moved");
    let path = folder.0.join("a.log");
    let mut log = Written::new(&path, |_| {});
    log.write("one\n");
    fs::rename(&path, folder.0.join("taken")).unwrap();
    log.write("two\n");
    fs::remove_file(&path).unwrap();
    log.write("three\n");
    assert_eq!(folder.files(), pairs(&[("a.log", "three\n"), ("taken", "one\n")]));
    // As logrotate's `copytruncate` does it.
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    log.write("four\n");
    assert_eq!(folder.files(), pairs(&[("a.log", "four\n"), ("taken", "one\n")]));
    assert!(log.said().is_empty());
}

#[test]
fn a_folder_that_can_not_be_made_is_told_of_once_and_used_when_it_can() {
    let folder = Folder::new("blocked");
    let blocked = folder.0.join("logs");
    fs::write(&blocked, "a file is in the way").unwrap();
    let mut log = Written::new(&blocked.join("a.log"), |_| {});
    assert_eq!(log.file.prepare(), Lost { lines: 0, errors: 1 });
    let said = log.said();
    assert!(said.len() == 1 && said[0].contains("logs/a.log can't be written: "), "{said:?}");
    assert_eq!(log.write("one\ntwo\n"), Lost { lines: 2, errors: 1 });
    log.pass(3600);
    assert_eq!(log.write("three\n"), Lost { lines: 1, errors: 1 });
    assert!(log.said().is_empty(), "once a burst");
    fs::remove_file(&blocked).unwrap();
    assert_eq!(log.write("four\n"), Lost::default());
    assert_eq!(fs::read_to_string(blocked.join("a.log")).unwrap(), "four\n");
    let said = log.said();
    assert!(said.len() == 1 && said[0].ends_with("is written again; 3 of its lines were lost"), "{said:?}");
}

#[test]
fn trouble_that_comes_and_goes_is_told_of_now_and_then() {
    let folder = Folder::new("flapping");
    let path = folder.0.join("a.log");
    let mut log = Written::new(&path, |_| {});
    for _ in 0..20 {
        fs::create_dir(&path).unwrap();
        assert_eq!(log.write("lost\n").lines, 1);
        fs::remove_dir(&path).unwrap();
        assert_eq!(log.write("written\n").lines, 0);
        fs::remove_file(&path).unwrap();
        log.pass(1);
    }
    assert_eq!(log.said().len(), 4, "twenty seconds, at most one failure in ten with its end");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_as_it_is_and_never_put_aside() {
    let mut log = Written::new(Path::new("/dev/full"), |config| config.max_size = 1);
    log.pass(400 * DAY);
    assert_eq!(log.write("one\n"), Lost { lines: 1, errors: 1 });
    let said = log.said();
    assert!(said.len() == 1 && said[0].contains("/dev/full can't be written: No space left"), "{said:?}");
    let mut log = Written::new(Path::new("/dev/null"), |config| config.max_size = 1);
    log.pass(400 * DAY);
    assert_eq!(log.write("one\ntwo\n"), Lost::default());
    for device in ["/dev/full", "/dev/null"] {
        assert!(!fs::metadata(device).unwrap().is_file(), "{device} is what it was");
    }
}
