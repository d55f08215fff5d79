use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tempfile::NamedTempFile;

use crate::{Failure, measure::is_test};

/// The longest message that is told on a command line, which holds little more than a hundred kilobytes.
const ARGUMENT: usize = 4096;

/// What is sent, and how much of it.
#[derive(Clone, Debug)]
pub struct Load {
    /// Connections.
    pub connections: u32,
    /// Calls at a time on each of them.
    pub streams: u32,
    /// Calls a second, at their times however slow the answers are; `None`: as fast as answers come.
    pub rate: Option<u32>,
    /// The body of each call: a message without a frame, or JSON. Empty: a `GET`.
    pub data: Vec<u8>,
    /// Whether each call is answered by many messages.
    pub server_stream: bool,
}

impl Load {
    /// As fast as it goes, by so many connections with so many calls at a time on each.
    pub fn closed(connections: u32, streams: u32, data: impl Into<Vec<u8>>) -> Self {
        Self { connections, streams, rate: None, data: data.into(), server_stream: false }
    }

    /// As little of it as shows that it runs: a build for tests, on a machine that does other things too, refuses nothing of that.
    #[must_use]
    pub(super) fn briefly(&self) -> Self {
        Self {
            connections: self.connections.min(4),
            streams: self.streams.min(2),
            rate: self.rate.map(|rate| rate.min(100)),
            ..self.clone()
        }
    }

    /// At a fixed rate.
    #[must_use]
    pub fn at(self, rate: u32) -> Self {
        Self { rate: Some(rate), ..self }
    }
}

/// What the driver saw.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Calls that were answered in the measured time.
    pub calls: u64,
    /// The measured time.
    pub seconds: f64,
    /// Calls a second.
    pub rate: f64,
    /// Calls that failed, by what they failed with.
    #[serde(default)]
    pub errors: BTreeMap<String, u64>,
    /// Calls of a fixed rate that were never sent.
    #[serde(default)]
    pub dropped: u64,
    /// Messages of server streams.
    #[serde(default)]
    pub messages: u64,
    /// How long calls took, in microseconds.
    pub latency_us: Latency,
    /// The processor time of the driver, in seconds.
    #[serde(default)]
    pub driver_cpu_seconds: f64,
}

/// How long calls took, in microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Half of the calls took less.
    pub p50: f64,
    /// 90 of 100 took less.
    pub p90: f64,
    /// 99 of 100 took less.
    pub p99: f64,
    /// 999 of 1000 took less.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

impl Report {
    /// Why its figures are worth nothing; `None` for a good one.
    pub fn failure(&self) -> Option<String> {
        if !self.errors.is_empty() {
            let mut text = "calls failed:".to_owned();
            for (what, count) in &self.errors {
                let _ = write!(text, " {count} x {what};");
            }
            return Some(text);
        }
        (self.calls == 0).then(|| "no call was answered".to_owned())
    }
}

/// `kit load` on one core.
#[derive(Clone, Debug)]
pub struct Driver {
    program: PathBuf,
    core: usize,
}

impl Driver {
    /// The program `kit`: that of the variable `KIT`, or the one beside this program, built by cargo first in the same profile (not
    /// for `-- --test` if it is there).
    ///
    /// # Errors
    /// When it can't be built.
    pub fn build(core: usize) -> Result<Self, Failure> {
        if let Some(program) = env::var_os("KIT") {
            return Ok(Self { program: program.into(), core });
        }
        let folder = profile_folder()?;
        let program = folder.join("kit");
        if is_test() && program.exists() {
            return Ok(Self { program, core });
        }
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        command.args(["build", "--quiet", "--package", "kit-cli", "--bin", "kit"]);
        if folder.file_name().is_some_and(|name| name == "release") {
            command.arg("--release");
        }
        let status = command.stdin(Stdio::null()).status()?;
        if !status.success() {
            return Err("the driver does not build: cargo build -p kit-cli".into());
        }
        Ok(Self { program, core })
    }

    /// Sends load to a URL (`http://127.0.0.1:80/v1/notes`, `grpc://127.0.0.1:81/press.Press/Echo`); what happens during `warmup`
    /// does not count.
    ///
    /// # Errors
    /// When the driver can't run or says nothing sensible. Calls that fail are no error here: see [`Report::failure`].
    pub fn run(&self, url: &str, load: &Load, warmup: Duration, duration: Duration) -> Result<Report, Failure> {
        let mut command = Command::new(&self.program);
        command.args(arguments(url, load, warmup, duration)).arg("--cpu").arg(self.core.to_string());
        // Until the driver has read it.
        let _file = match load.data.len() {
            0..=ARGUMENT => None,
            _ => {
                let mut file = NamedTempFile::new()?;
                file.write_all(&load.data)?;
                command.arg("--data-file").arg(file.path());
                Some(file)
            }
        };
        let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let why = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            format!("kit load {url}: {}, no report ({error}): {why}", output.status).into()
        })
    }
}

fn arguments(url: &str, load: &Load, warmup: Duration, duration: Duration) -> Vec<String> {
    let millis = |time: Duration| format!("{}ms", time.as_millis());
    let mut arguments: Vec<String> = [
        "load",
        url,
        "--json",
        "--connections",
        &load.connections.to_string(),
        "--streams",
        &load.streams.to_string(),
        "--warmup",
        &millis(warmup),
        "--duration",
        &millis(duration),
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(rate) = load.rate {
        arguments.extend(["--rate".to_owned(), rate.to_string()]);
    }
    if !load.data.is_empty() && url.starts_with("http:") {
        arguments.extend(["--header", "content-type: application/json"].map(str::to_owned));
    }
    if (1..=ARGUMENT).contains(&load.data.len()) {
        let hex = load.data.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        arguments.extend(["--data-hex".to_owned(), hex]);
    }
    if load.server_stream {
        arguments.push("--server-stream".to_owned());
    }
    arguments
}

/// Where cargo puts the programs of this profile: `target/release`.
///
/// # Errors
/// When this program was not built by cargo.
pub(crate) fn profile_folder() -> Result<PathBuf, Failure> {
    let program = env::current_exe()?;
    let folder = program.parent().ok_or("this program is in no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(Path::to_path_buf(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_told_to_the_driver() {
        let load = Load::closed(50, 10, [1, 0xab]).at(8000);
        let told = arguments("grpc://[::1]:1/a.B/C", &load, Duration::from_millis(500), Duration::from_secs(3));
        assert_eq!(
            told.join(" "),
            "load grpc://[::1]:1/a.B/C --json --connections 50 --streams 10 --warmup 500ms --duration 3000ms \
             --rate 8000 --data-hex 01ab"
        );
    }

    #[test]
    fn a_report_with_errors_is_a_failure_that_tells_them() -> Result<(), Failure> {
        let text =
            r#"{"calls":7,"seconds":1.0,"rate":7.0,"errors":{"UNAVAILABLE":2},"latency_us":{"p50":1,"p99":9.5}}"#;
        let report: Report = serde_json::from_str(text)?;
        assert_eq!(report.failure().as_deref(), Some("calls failed: 2 x UNAVAILABLE;"));
        assert_eq!(report.latency_us.p99, 9.5);
        let report: Report = serde_json::from_str(r#"{"calls":7,"seconds":1,"rate":7,"latency_us":{}}"#)?;
        assert_eq!(report.failure(), None);
        Ok(())
    }
}
