//! The file with the number of the process.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use crate::Failure;

/// A file that holds the number of this process for as long as it runs, so that scripts can signal it:
/// `kill -INT $(cat runtime/bookdetails.pid)`.
///
/// Whoever starts second overwrites it; so write it after the ports are bound, which only one process can do.
#[derive(Debug)]
pub struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes the file, and its folders where they are missing. Without a path there is none.
    ///
    /// # Errors
    /// When it can't be written; the text names the file.
    pub fn write(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self(None)) };
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, format!("{}\n", process::id()))
        };
        write().map_err(|error| format!("can't write the pid file {}: {error}", path.display()))?;
        Ok(Self(Some(path.to_owned())))
    }
}

/// Removes the file, unless it is another process's by now.
impl Drop for PidFile {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        let ours = fs::read_to_string(path).is_ok_and(|text| text.trim() == process::id().to_string());
        if ours && let Err(error) = fs::remove_file(path) {
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
