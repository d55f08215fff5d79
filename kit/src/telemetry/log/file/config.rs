use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::LogFormat;
use crate::{
    size,
    validate::{Validate, Violations},
};

/// 100 MiB, as the log rotation that Go services use (lumberjack) has it: an editor still opens it.
const MAX_SIZE: u64 = 100 << 20;

/// Ten files: a week of days and room for the busier ones; a gibibyte with the largest size.
const MAX_FILES: usize = 10;

/// Smaller files would be rotated every few lines.
const LEAST_SIZE: u64 = 1 << 10;

/// More files are not looked through in the time of a line.
const MOST_FILES: usize = 1000;

/// When a file is put aside beside for its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Rotate {
    /// When a day (UTC) is over.
    #[default]
    Daily,
    /// For its size only.
    Never,
}

/// The log in a file, for machines without somebody who collects what services print.
///
/// `service.log` is written; what is full or a day old becomes `service.log.2026-08-01.1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileConfig {
    /// The folder and the name; the folder is made when it is not there. Default: none, no file is written.
    pub path: Option<PathBuf>,
    /// How large a file may get. Default: 100 MiB.
    #[serde(with = "size")]
    pub max_size: u64,
    /// Whether each day has files of its own. Default: daily.
    pub rotate: Rotate,
    /// How many files are kept, the one that is written included; the oldest go. Default: 10.
    pub max_files: usize,
    /// How lines look; `auto` is JSON here. Default: auto.
    pub format: LogFormat,
}

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            path: None,
            max_size: MAX_SIZE,
            rotate: Rotate::default(),
            max_files: MAX_FILES,
            format: LogFormat::default(),
        }
    }
}

impl FileConfig {
    /// The log in a file, otherwise at the defaults.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..Self::default() }
    }
}

impl Validate for FileConfig {
    fn validate(&self, report: &mut Violations) {
        let named = self.path.as_ref().is_none_or(|path| path.file_name().is_some());
        report.require(named, "path", "must end in the name of a file");
        if self.max_size < LEAST_SIZE {
            report.add("max_size", format!("must be at least {}", size::format(LEAST_SIZE)));
        }
        if !(1..=MOST_FILES).contains(&self.max_files) {
            report.add("max_files", format!("must be from 1 to {MOST_FILES}"));
        }
    }
}
