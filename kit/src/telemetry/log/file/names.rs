//! The names of files that were put aside: `service.log.2026-08-01.1`.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Days since 1970 in UTC.
pub(super) type Day = u64;

pub(super) fn day_of(time: SystemTime) -> Day {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400
}

/// `2026-08-01`
fn date(day: Day) -> String {
    let seconds = i64::try_from(day.saturating_mul(86_400)).unwrap_or(i64::MAX);
    let text = prost_types::Timestamp { seconds, nanos: 0 }.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// What tells files that were put aside apart, in the order of their age: the date, then the number.
type Key = (String, u64);

/// The file in the folder of `path` that the content of a day goes to: one that is not there.
pub(super) fn free(path: &Path, day: Day) -> io::Result<PathBuf> {
    let date = date(day);
    let last = aside(path)?.into_iter().filter(|((of, _), _)| *of == date).map(|((_, number), _)| number).max();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{date}.{}", last.unwrap_or(0).saturating_add(1)));
    Ok(path.with_file_name(name))
}

/// Removes the oldest files, so that `keep` are left. Only files with names of ours are ever touched.
pub(super) fn prune(path: &Path, keep: usize) -> io::Result<()> {
    let mut files = aside(path)?;
    files.sort_unstable();
    let surplus = files.len().saturating_sub(keep);
    files.into_iter().take(surplus).try_for_each(|(_, file)| fs::remove_file(file))
}

fn aside(path: &Path) -> io::Result<Vec<(Key, PathBuf)>> {
    let name = path.file_name().unwrap_or_default();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        if let Some(key) = key(name, &entry.file_name()) {
            files.push((key, entry.path()));
        }
    }
    Ok(files)
}

pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads the name of a file that was put aside.
fn key(name: &OsStr, file: &OsString) -> Option<Key> {
    let rest = file.as_encoded_bytes().strip_prefix(name.as_encoded_bytes())?;
    let (date, number) = std::str::from_utf8(rest).ok()?.strip_prefix('.')?.split_once('.')?;
    let shape = |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if date.len() != 10 || !date.bytes().enumerate().all(shape) || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((date.to_owned(), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_read() {
        let read = |file: &str| key(OsStr::new("a.log"), &OsString::from(file));
        assert_eq!(read("a.log.2026-08-01.12"), Some(("2026-08-01".to_owned(), 12)));
        for other in [
            "a.log",
            "a.log.1",
            "a.log.2026-08-01",
            "a.log.2026-08-01.",
            "a.log.2026-08-01.1.gz",
            "a.log.2026-08-01.+1",
            "a.log.2026x08-01.1",
            "b.log.2026-08-01.1",
            "a.log2026-08-01.1",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn days_are_utc() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(day_of(UNIX_EPOCH + std::time::Duration::from_secs(20_666 * 86_400 - 1))), "2026-07-31");
        assert_eq!(date(20_666), "2026-08-01");
    }
}
