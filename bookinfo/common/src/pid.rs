//! The file with the number of the process.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    process,
};

use crate::Failure;

/// A file that holds the number of this process for as long as it runs, so that scripts can signal it:
/// `kill -INT $(cat runtime/bookdetails.pid)`.
///
/// Whose it is says the lock on it (`flock`), which ends with its process however that ends: a number alone may be that of
/// another program by now. So a file that a killed process left behind is taken over, with a warning, and one of a process that
/// lives is not.
#[derive(Debug)]
pub struct PidFile(Option<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    // Holds the lock.
    file: File,
}

impl PidFile {
    /// Writes the file, and its folders where they are missing. Without a path there is none. To be called before anything is
    /// done that a second process must not do.
    ///
    /// # Errors
    /// When it belongs to another process, or can't be written; the text names the file, and the process.
    pub fn write(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self(None)) };
        let broken = |error: io::Error| format!("can't write the pid file {}: {error}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(broken)?;
        }
        loop {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(broken)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(path, &mut file)),
                Err(TryLockError::Error(error)) => {
                    let path = path.display();
                    tracing::warn!(%error, %path, "the pid file can't be locked: nothing keeps a second process away");
                }
            }
            // A process that just ended removes its file: then the lock is on one that nobody else will find.
            if !is_at(&file, path) {
                continue;
            }
            let mut before = String::new();
            // What is in it may be anything; it is replaced.
            let _ = file.read_to_string(&mut before);
            if !before.is_empty() {
                let (path, before) = (path.display(), before.trim());
                tracing::warn!(%path, before, "a stale pid file is overwritten: its process did not end properly");
            }
            file.set_len(0).and_then(|()| file.rewind()).map_err(broken)?;
            writeln!(file, "{}", process::id()).map_err(broken)?;
            return Ok(Self(Some(Held { path: path.to_owned(), file })));
        }
    }
}

fn taken(path: &Path, file: &mut File) -> Failure {
    let mut owner = String::new();
    let _ = file.read_to_string(&mut owner);
    let owner = match owner.trim() {
        "" => "another process".to_owned(),
        number => format!("process {number}"),
    };
    format!(
        "the pid file {} belongs to {owner}, which runs: stop it, or give this one another `pid_file`",
        path.display()
    )
    .into()
}

/// Whether the path still leads to the file.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        file.metadata().map(id).ok() == fs::metadata(path).map(id).ok()
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// Removes the file, unless it is another process's by now.
impl Drop for PidFile {
    fn drop(&mut self) {
        let Some(Held { path, file }) = &self.0 else { return };
        let ours = fs::read_to_string(path).is_ok_and(|text| text.trim() == process::id().to_string());
        // Before the lock is let go: whoever gets it finds that the file is gone, and makes a new one.
        if ours
            && is_at(file, path)
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(%error, path = %path.display(), "the pid file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use kit::sql::testing::Folder;

    use super::*;

    #[test]
    fn it_lives_as_long_as_the_process() {
        let folder = Folder::new();
        let path = folder.path("runtime/app.pid");
        let file = PidFile::write(Some(&path)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn two_of_them_are_one_too_many() {
        let folder = Folder::new();
        let path = folder.path("app.pid");
        let first = PidFile::write(Some(&path)).unwrap();
        let error = PidFile::write(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("app.pid") && error.contains(&format!("process {}", process::id())), "{error}");
        assert!(path.exists(), "the second leaves it alone");
        drop(first);
        assert!(!path.exists());
        drop(PidFile::write(Some(&path)).unwrap());
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let folder = Folder::new();
        let path = &folder.path("app.pid");
        for _ in 0..50 {
            let got: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| PidFile::write(Some(path)))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(got.iter().filter(|one| one.is_ok()).count(), 1, "{got:?}");
            drop(got);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_a_killed_process_left_behind_is_taken_over() {
        let folder = Folder::new();
        let path = folder.path("app.pid");
        fs::create_dir_all(folder.path("")).unwrap();
        // Longer than ours, no number, or the number of a process that has nothing to do with us.
        for stale in ["99999999999\n", "what is this?", "1\n"] {
            fs::write(&path, stale).unwrap();
            let file = PidFile::write(Some(&path)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
            drop(file);
            assert!(!path.exists());
        }
    }

    #[test]
    fn the_file_of_another_process_stays() {
        let folder = Folder::new();
        let path = folder.path("app.pid");
        let file = PidFile::write(Some(&path)).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn one_that_cannot_be_written_is_named() {
        let error = PidFile::write(Some(Path::new("/proc/none/app.pid"))).unwrap_err();
        assert!(error.to_string().contains("/proc/none/app.pid"), "{error}");
        drop(PidFile::write(None).unwrap());
    }
}
