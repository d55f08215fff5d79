//! Reads files whose path may be wrong.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

/// No configuration is larger; a wrong path may lead to anything.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The file as messages name it.
pub(super) fn name_of(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

/// The text of a file; `None` when it does not exist and need not.
pub(super) fn read(path: &Path, required: bool) -> Result<Option<String>, String> {
    let cannot = |error: std::io::Error| format!("can't be read: {error}");
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !required => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err("is larger than 4 MiB".to_owned());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(format!("is not UTF-8: byte {} is wrong", error.utf8_error().valid_up_to() + 1)),
    }
}
