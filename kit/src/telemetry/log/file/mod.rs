//! Lines to a file that is put aside by size and day, of which a bounded number is kept.
//!
//! Written here: tracing-appender does not rotate by size and gives up on a file that it can't make anew; file-rotate and
//! logroller rotate by one of both, and the former panics when its folder can't be made and drops lines silently when its file
//! can't be opened.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    queue::{Lost, Sink, count},
    style::Style,
};

mod config;
mod names;
#[cfg(test)]
mod tests;

pub use config::{FileConfig, Rotate};

use names::{Day, day_of};

/// So often at most is a failure told. A disk that is nearly full fails and works in turns.
const BETWEEN_NOTICES: Duration = Duration::from_secs(10);

/// Says something elsewhere than in the file.
pub(super) type Tell = Box<dyn Fn(&str) + Send>;

pub(super) struct RollingFile {
    path: PathBuf,
    config: FileConfig,
    style: Style,
    clock: Box<dyn Fn() -> SystemTime + Send>,
    tell: Tell,
    open: Option<Open>,
    trouble: Option<Trouble>,
    told: Option<SystemTime>,
}

struct Open {
    file: File,
    identity: Identity,
    /// The day of what is in it.
    day: Day,
}

/// Writing fails since a while.
struct Trouble {
    lines: u64,
    told: bool,
}

/// What tells whether the name still means the file that is open.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = ();

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Identity {}

impl RollingFile {
    pub(super) fn new(path: &Path, config: &FileConfig, tell: Tell) -> Self {
        Self {
            path: path.to_owned(),
            config: config.clone(),
            style: Style::of_file(config.format),
            clock: Box::new(SystemTime::now),
            tell,
            open: None,
            trouble: None,
            told: None,
        }
    }

    /// Writes some of the lines; returns how many bytes.
    fn step(&mut self, lines: &[u8]) -> io::Result<usize> {
        let now = (self.clock)();
        let length = self.ready(now)?;
        let mut part = match length {
            // A device or a pipe has no size that could be too large.
            None => lines,
            Some(length) => fitting(lines, self.config.max_size.saturating_sub(length)),
        };
        let mut length = length;
        if part.is_empty() {
            if length.is_some_and(|length| length > 0) {
                self.put_aside()?;
                length = self.ready(now)?;
            }
            // A line that is larger than a file has one of its own.
            part = fitting(lines, self.config.max_size);
            if part.is_empty() {
                part = first(lines);
            }
        }
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(e) = open.file.write_all(part) {
            // Half a line is no line: whoever reads the file as JSON would stumble over it.
            if let Some(length) = length {
                let _ = open.file.set_len(length);
            }
            return Err(e);
        }
        Ok(part.len())
    }

    /// Sees to it that the file is open and of today; gives its length, none for what is no regular file.
    fn ready(&mut self, now: SystemTime) -> io::Result<Option<u64>> {
        let found = match fs::metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let today = day_of(now);
        let same = |open: &Open| found.as_ref().is_some_and(|found| identity(found) == open.identity);
        // Moved away by somebody else, such as logrotate: what comes now belongs into a new file.
        if !self.open.as_ref().is_some_and(same) {
            self.reopen(today)?;
        }
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let metadata = open.file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        if metadata.len() == 0 {
            open.day = today;
        }
        if self.config.rotate == Rotate::Never || open.day >= today {
            return Ok(Some(metadata.len()));
        }
        // Yesterday's file goes on being written rather than lines being lost when it can't be put aside. By size it can't go
        // on, because that would have no end.
        if let Err(e) = self.put_aside() {
            let text = format!("the log file {} can't be put aside at the end of the day: {e}", self.path.display());
            self.say(&text);
            if let Some(open) = &mut self.open {
                open.day = today;
            }
            return Ok(Some(metadata.len()));
        }
        self.reopen(today)?;
        Ok(Some(0))
    }

    fn reopen(&mut self, today: Day) -> io::Result<()> {
        self.open = None;
        fs::create_dir_all(names::folder(&self.path))?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // Lines tell of callers: not for everybody on the machine.
            options.mode(0o640);
        }
        let file = options.open(&self.path)?;
        let metadata = file.metadata()?;
        // What a service that ran before left belongs to the day on which it was written last.
        let day = if metadata.len() > 0 { metadata.modified().map_or(today, day_of) } else { today };
        self.open = Some(Open { file, identity: identity(&metadata), day });
        self.prune();
        Ok(())
    }

    /// Gives the file another name; the next line opens a new one.
    fn put_aside(&mut self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        fs::rename(&self.path, names::free(&self.path, open.day)?)?;
        self.open = None;
        Ok(())
    }

    fn prune(&mut self) {
        let keep = self.config.max_files.saturating_sub(1);
        if let Err(e) = names::prune(&self.path, keep) {
            self.say(&format!("old files of the log {} can't be removed: {e}", self.path.display()));
        }
    }

    fn failed(&mut self, error: &io::Error, lines: u64) {
        // Whatever is wrong may be with this very file: the next try opens it anew.
        self.open = None;
        let before = self.trouble.take();
        let told = match &before {
            Some(trouble) if trouble.told => true,
            _ => self.say(&format!(
                "the log file {} can't be written: {error}; its lines are lost until it can",
                self.path.display()
            )),
        };
        self.trouble = Some(Trouble { lines: before.map_or(0, |before| before.lines) + lines, told });
    }

    fn works_again(&mut self) {
        if let Some(trouble) = self.trouble.take()
            && trouble.told
        {
            let (path, lines) = (self.path.display(), trouble.lines);
            let text = format!("the log file {path} is written again; {lines} of its lines were lost");
            (self.tell)(&text);
        }
    }

    /// Tells it, unless something was told a moment ago.
    fn say(&mut self, text: &str) -> bool {
        let now = (self.clock)();
        let early = |told: SystemTime| now.duration_since(told).is_ok_and(|since| since < BETWEEN_NOTICES);
        if self.told.is_some_and(early) {
            return false;
        }
        self.told = Some(now);
        (self.tell)(text);
        true
    }
}

impl Sink for RollingFile {
    /// Opens the file, so that one that can't be opened is told of at the start.
    fn prepare(&mut self) -> Lost {
        match self.ready((self.clock)()) {
            Ok(_) => Lost::default(),
            Err(e) => {
                self.failed(&e, 0);
                Lost { lines: 0, errors: 1 }
            }
        }
    }

    fn write(&mut self, mut lines: &[u8]) -> Lost {
        while !lines.is_empty() {
            match self.step(lines) {
                Ok(written) => {
                    self.works_again();
                    lines = lines.get(written..).unwrap_or_default();
                }
                Err(e) => {
                    let lost = count(lines);
                    self.failed(&e, lost);
                    return Lost { lines: lost, errors: 1 };
                }
            }
        }
        Lost::default()
    }

    fn notice(&self, text: &str) -> Vec<u8> {
        self.style.notice(text)
    }
}

/// The whole lines from the front that are not longer than `room`.
fn fitting(lines: &[u8], room: u64) -> &[u8] {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    let room = lines.get(..room).unwrap_or_default();
    let end = room.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    lines.get(..end).unwrap_or_default()
}

fn first(lines: &[u8]) -> &[u8] {
    lines.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default()
}
