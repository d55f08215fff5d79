//! Rows of results, with the bars that they are held to: each benchmark leaves its own in a file under cargo's target folder, and
//! one command makes `RESULTS.md` and the picture of all of them.
//!
//! ```no_run
//! use benches::results::{Results, Row, Unit};
//!
//! let mut results = Results::of("resilience");
//! results.record(Row::new("breaker", "adds", 14.2, Unit::Nanoseconds).spread(13.9, 15.0).at_most(15.0).measured_in("in process"));
//! results.write()?;
//! # Ok::<(), benches::Failure>(())
//! ```

use std::{fs, path::PathBuf, process::Command};

use serde::{Deserialize, Serialize};

use crate::{Failure, measure::is_test, sockets::profile_folder};

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Ours divided by theirs.
    Ratio,
    /// Time.
    Nanoseconds,
    /// Memory.
    Bytes,
    /// Allocations, system calls and the like.
    Count,
}

impl Unit {
    /// The figure for people.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.3}"),
            Self::Nanoseconds if value.abs() >= 10_000.0 => format!("{:.1} µs", value / 1e3),
            Self::Nanoseconds => format!("{value:.1} ns"),
            Self::Bytes if value >= 10_240.0 => format!("{:.1} KiB", value / 1024.0),
            Self::Bytes => format!("{value:.0} B"),
            Self::Count => format!("{value:.1}"),
        }
    }
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

impl Bar {
    /// Whether a figure reaches it. One that is not a number does not.
    pub fn is_reached_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }

    /// The bar for people.
    pub fn show(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {}", unit.show(bar)),
            Self::AtMost(bar) => format!("≤ {}", unit.show(bar)),
        }
    }
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was measured: `gRPC unary, 50 x 10`.
    pub name: String,
    /// Against what, or what of it: `bare tonic, same runtime`.
    pub against: String,
    /// The figure; not a number (`null`) when the measurement failed.
    #[serde(with = "finite")]
    pub value: f64,
    /// The quartiles around it.
    pub spread: Option<(f64, f64)>,
    /// What it counts.
    pub unit: Unit,
    /// What it has to be.
    pub bar: Option<Bar>,
    /// Runtime, allocator, buffers.
    pub configuration: String,
    /// What else there is to say: why it failed, which end was the limit.
    pub note: String,
}

impl Row {
    /// A figure without a bar.
    pub fn new(name: impl Into<String>, against: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self {
            name: name.into(),
            against: against.into(),
            value,
            spread: None,
            unit,
            bar: None,
            configuration: String::new(),
            note: String::new(),
        }
    }

    /// The quartiles.
    #[must_use]
    pub fn spread(self, low: f64, high: f64) -> Self {
        Self { spread: (low.is_finite() && high.is_finite()).then_some((low, high)), ..self }
    }

    /// It has to be this much or more.
    #[must_use]
    pub fn at_least(self, bar: f64) -> Self {
        Self { bar: Some(Bar::AtLeast(bar)), ..self }
    }

    /// It has to be this much or less.
    #[must_use]
    pub fn at_most(self, bar: f64) -> Self {
        Self { bar: Some(Bar::AtMost(bar)), ..self }
    }

    /// Runtime, allocator, buffers.
    #[must_use]
    pub fn measured_in(self, configuration: impl Into<String>) -> Self {
        Self { configuration: configuration.into(), ..self }
    }

    /// What else there is to say.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// `reached`, `MISSED`, `FAILED`, or nothing where there is no bar.
    pub fn verdict(&self) -> &'static str {
        match self.bar {
            _ if !self.value.is_finite() => "FAILED",
            Some(bar) if bar.is_reached_by(self.value) => "reached",
            Some(_) => "MISSED",
            None => "",
        }
    }

    /// The row as a line of text.
    pub fn line(&self) -> String {
        let spread = self
            .spread
            .map(|(low, high)| format!(" ({} to {})", self.unit.show(low), self.unit.show(high)))
            .unwrap_or_default();
        let bar = self.bar.map(|bar| format!(", bar {}", bar.show(self.unit))).unwrap_or_default();
        let verdict = if self.verdict().is_empty() { String::new() } else { format!(": {}", self.verdict()) };
        let note = if self.note.is_empty() { String::new() } else { format!(" [{}]", self.note) };
        let (name, against, value) = (&self.name, &self.against, self.unit.show(self.value));
        format!("{name}, {against}: {value}{spread}{bar}{verdict}{note}")
    }
}

/// JSON has no way to say that a figure is not a number.
mod finite {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { serializer.serialize_f64(*value) } else { serializer.serialize_none() }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}

/// A table of measurements beside the bars: what each subject did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What was measured.
    pub title: String,
    /// The columns.
    pub columns: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Leaves out columns in which no row says anything.
    pub fn drop_empty_columns(&mut self) {
        let said = |column: usize| self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()));
        let keep: Vec<bool> = (0..self.columns.len()).map(said).collect();
        for row in std::iter::once(&mut self.columns).chain(&mut self.rows) {
            let mut kept = keep.iter();
            row.retain(|_| kept.next().copied().unwrap_or(true));
        }
    }
}

/// A group of bars in the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What was measured.
    pub title: String,
    /// In the order in which they are drawn; the first is what the others are compared with.
    pub bars: Vec<ChartBar>,
}

/// A bar of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChartBar {
    /// The server.
    pub name: String,
    /// Calls a second.
    pub value: f64,
    /// Whether it is the kit.
    pub ours: bool,
}

/// The rows of one benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The benchmark: `sockets-grpc-50x10`.
    pub benchmark: String,
    /// Its place in `RESULTS.md`: the smaller, the further up.
    pub rank: usize,
    /// The commit that was measured; with `+` when files had changed since.
    pub commit: String,
    /// Seconds since 1970.
    pub taken: u64,
    /// The figures with their bars.
    pub rows: Vec<Row>,
    /// What stands behind them.
    pub tables: Vec<Table>,
    /// What is drawn of them.
    #[serde(default)]
    pub charts: Vec<Chart>,
}

/// Where those stand that have no place of their own.
const LAST: usize = 1000;

impl Results {
    /// Of a benchmark that begins.
    pub fn of(benchmark: impl Into<String>) -> Self {
        let taken =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            benchmark: benchmark.into(),
            rank: LAST,
            commit: commit(),
            taken,
            rows: Vec::new(),
            tables: Vec::new(),
            charts: Vec::new(),
        }
    }

    /// Prints a row with its bar and the verdict, and keeps it.
    pub fn record(&mut self, row: Row) {
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Keeps a table.
    pub fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Leaves the rows for `RESULTS.md`, in the place of those of an earlier run. Does nothing with `-- --test`, whose figures mean
    /// nothing.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self) -> Result<(), Failure> {
        if is_test() {
            return Ok(());
        }
        let folder = folder()?;
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_string_pretty(self)?;
        Ok(fs::write(folder.join(format!("{}.json", self.benchmark)), text)?)
    }

    /// What all benchmarks left, by name.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn all() -> Result<Vec<Self>, Failure> {
        let folder = folder()?;
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut files: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Failure>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let read = |file: &PathBuf| -> Result<Self, Failure> { Ok(serde_json::from_str(&fs::read_to_string(file)?)?) };
        let read = |file| read(file).map_err(|why| format!("{}: {why}: remove it, or measure again", file.display()));
        let mut all = files.iter().map(read).collect::<Result<Vec<Self>, _>>()?;
        all.sort_by_key(|results| results.rank);
        Ok(all)
    }
}

/// Beside what is built: `target/bench-results`.
fn folder() -> Result<PathBuf, Failure> {
    let profile = profile_folder()?;
    Ok(profile.parent().unwrap_or(&profile).join("bench-results"))
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    if changed { commit + "+" } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_its_bar_and_whether_it_is_reached() {
        let row = Row::new("gRPC", "against tonic", 0.981, Unit::Ratio).spread(0.97, 0.99).at_least(0.97);
        assert_eq!(row.line(), "gRPC, against tonic: 0.981 (0.970 to 0.990), bar ≥ 0.970: reached");
        let row = Row::new("p99", "against tonic", 0.2, Unit::Ratio).at_most(0.15);
        assert_eq!(row.verdict(), "MISSED");
        assert_eq!(Row::new("x", "y", f64::NAN, Unit::Count).verdict(), "FAILED");
        assert_eq!(Row::new("x", "y", 1.0, Unit::Count).verdict(), "");
    }

    #[test]
    fn a_row_is_read_as_it_was_written() -> Result<(), Failure> {
        for value in [1.5, f64::NAN] {
            let row = Row::new("a", "b", value, Unit::Bytes).at_most(2.0).measured_in("c").note("d");
            let read: Row = serde_json::from_str(&serde_json::to_string(&row)?)?;
            assert_eq!(read.line(), row.line());
        }
        Ok(())
    }
}
