//! Log lines that carry the ids of the call they belong to: for people on a terminal, as JSON otherwise, to stdout and to a
//! file that is rotated.
//!
//! A service's `main` calls [`LogConfig::init`] once and keeps the [`Log`] that it gets: for changing the level while the
//! service runs, and for writing the last lines at the end.
//!
//! ```
//! use kit::telemetry::log::LogConfig;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let log = LogConfig::default().init()?;
//! tracing::info!(answer = 42, "ready");
//! log.set_level("info,shop=debug")?;
//! assert_eq!(log.level(), "info,shop=debug");
//! assert!(log.close().await);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The ids come from [`crate::endpoint::current`], where the access log puts them, so user code logs with plain `tracing`
//! macros. A field whose name says that it is secret (`password`, `authorization`, see [`crate::mask`]) is written as `***`,
//! and so are the passwords of URLs in any text.
//!
//! # Logging never waits
//!
//! Lines go into a bounded queue (4 MiB for each of stdout and the file) that a thread empties. When stdout or the disk hangs
//! or is slower than the service logs, lines are dropped and counted ([`Log::figures`]) and one line says how many. It costs a
//! call less than writing to stdout itself: the thread writes what has come in together.
//!
//! The price is that a process that is killed loses what is in the queue. It is written by [`Log::close`], [`Log::flush`], when
//! the last clone of the [`Log`] is dropped, and when the thread that called [`LogConfig::init`] ends (`main` returns).

use std::{io, sync::Arc};

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::{
    Layer, Registry,
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::{SubscriberInitExt as _, TryInitError},
};

use crate::{
    Error,
    mask::Mask,
    validate::{Validate, Violations},
};

mod file;
mod handle;
mod json;
mod level;
mod lines;
mod queue;
mod stdout;
mod style;
mod text;
mod time;

/// What every line says by itself. A field of one of these names is written as `field.level`.
const RESERVED: [&str; 8] = ["timestamp", "level", "target", "message", "request_id", "trace_id", "span_id", "method"];

pub use file::{FileConfig, Rotate};
pub use handle::{Log, LogFigures};

use handle::{AtEnd, Inner};
use level::{Level, LiveFilter};
use lines::{Direct, Queued};
use queue::Queue;
use style::Style;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is logged: a level, or directives as `info,kit::access=warn`. Default: `info`.
    pub level: String,
    /// How lines on stdout look. Default: by where they go.
    pub format: LogFormat,
    /// Whether lines go to stdout. Default: true, as containers and systemd collect them.
    pub stdout: bool,
    /// The log in a file. Default: none.
    pub file: FileConfig,
    /// Names of fields and parameters that are secret beside the usual ones, as [`Mask::with_names`] takes them. Default: none.
    pub mask: Vec<String>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Auto,
            stdout: true,
            file: FileConfig::default(),
            mask: Vec::new(),
        }
    }
}

impl Validate for LogConfig {
    fn validate(&self, report: &mut Violations) {
        if let Err(why) = level::parse(&self.level) {
            report.add("level", why);
        }
        let somewhere = self.stdout || self.file.path.is_some();
        let why = "is off and there is no file.path: nothing would be logged; for that, say level: off";
        report.require(somewhere, "stdout", why);
        report.section("file", &self.file);
    }
}

impl LogConfig {
    /// What the log hides: for others that are told the same, as [`spans::layer`](super::spans::layer).
    pub fn secrets(&self) -> Mask {
        Mask::with_names(&self.mask)
    }

    fn checked(&self) -> Result<Arc<Level>, Error> {
        self.check("log")?;
        Level::new(&self.level).map_err(|why| Error::invalid_argument(format!("log.level {why}")))
    }

    /// Logs from now on: to stdout, to the file, as the settings say.
    ///
    /// A file that can't be written is no error: a line on stdout (or stderr) says so, and it is tried again with each line.
    /// The handle may be dropped; see [`Log`].
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the settings can't be used, `FAILED_PRECONDITION` when the process logs already.
    pub fn init(&self) -> Result<Log, Error> {
        let (lines, log) = self.start()?;
        installed(tracing_subscriber::registry().with(lines).try_init(), log)
    }

    /// As [`LogConfig::init`], with a layer of another kind in the same subscriber: one that makes spans of a trace, one that
    /// counts.
    ///
    /// The level of the log is the log's alone. Give the layer a filter of its own: one without is shown every event of every
    /// library, and then no line is as cheap as it might be.
    ///
    /// # Errors
    /// As [`LogConfig::init`].
    pub fn init_with<L>(&self, other: L) -> Result<Log, Error>
    where
        L: Layer<Registry> + Send + Sync + 'static,
    {
        let (lines, log) = self.start()?;
        installed(tracing_subscriber::registry().with(other).with(lines).try_init(), log)
    }

    /// What [`LogConfig::init`] installs, for a subscriber of your own, and its handle. Its threads end when both are dropped.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the settings can't be used, `RESOURCE_EXHAUSTED` when there can be no more threads.
    pub fn start<S>(&self) -> Result<(impl Layer<S> + use<S>, Log), Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let level = self.checked()?;
        let no_thread = |e| Error::resource_exhausted("the log can't have a thread").with_source(e);
        let mut sinks = Vec::with_capacity(2);
        if self.stdout {
            let style = Style::of_stdout(self.format);
            sinks.push((style, Queue::start(Box::new(stdout::Stdout { style })).map_err(no_thread)?));
        }
        if let Some(path) = &self.file.path {
            let elsewhere = sinks.first().cloned();
            let tell = move |text: &str| match &elsewhere {
                Some((style, queue)) => queue.push(&style.notice(text)),
                None => stdout::to_stderr(text),
            };
            let file = file::RollingFile::new(path, &self.file, Box::new(tell));
            sinks.push((Style::of_file(self.file.format), Queue::start(Box::new(file)).map_err(no_thread)?));
        }
        let inner = Arc::new(Inner { level: Arc::clone(&level), sinks });
        let lines = Queued { inner: Arc::clone(&inner), mask: self.secrets() };
        Ok((lines.with_filter(LiveFilter(level)), Log::new(inner)))
    }

    /// A layer that writes each line to `writer` at once, in the format of stdout: for tests, and for writers that don't wait.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the settings can't be used.
    pub fn layer_to<S, W>(&self, writer: W) -> Result<impl Layer<S> + use<S, W>, Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let level = self.checked()?;
        let lines = Direct { writer, style: Style::of_stdout(self.format), mask: self.secrets() };
        Ok(lines.with_filter(LiveFilter(level)))
    }

    /// [`LogConfig::layer_to`] stdout.
    ///
    /// # Errors
    /// As [`LogConfig::layer_to`].
    pub fn layer<S>(&self) -> Result<impl Layer<S> + use<S>, Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.layer_to(io::stdout)
    }
}

fn installed(result: Result<(), TryInitError>, log: Log) -> Result<Log, Error> {
    result.map_err(|e| Error::failed_precondition("the process has a log already: start it once").with_source(e))?;
    AtEnd::of_this_thread(&log);
    Ok(log)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Mutex};

    use super::*;
    use crate::{
        Context as CallContext, RequestId,
        endpoint::current::{self, Ids},
    };

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let config = LogConfig { level: "debug".into(), format, mask: vec!["pin".into()], ..LogConfig::default() };
        let layer = config.layer_to(move || writer.clone()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_have_the_ids_of_the_call() {
        let cx = CallContext::background().with_request_id(RequestId::parse("abc-1").unwrap());
        let text = logged(LogFormat::Json, || {
            current::enter(
                Ids::from(&cx),
                || tracing::warn!(target: "shop", code = 7, name = "a\"b", ok = true, "sold\nout"),
            );
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["target"], "shop");
        assert_eq!(line["message"], "sold\nout");
        assert_eq!(line["request_id"], "abc-1");
        assert_eq!((&line["code"], &line["name"], &line["ok"]), (&7.into(), &"a\"b".into(), &true.into()));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn text_lines_are_one_line_each() {
        let text = logged(LogFormat::Text, || tracing::info!(user = "x\ny", "first\nsecond"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("first\\nsecond") && text.contains("user=x\\ny"), "{text}");
    }

    #[test]
    fn a_field_with_a_name_of_the_logs_own_is_told_apart() {
        let log =
            || tracing::info!(level = 9, method = "mine", request_id = "forged", span_id = ?"x", ok = true, "said");
        let text = logged(LogFormat::Text, log);
        assert!(
            text.ends_with(
                ": said field.level=9 field.method=mine field.request_id=forged field.span_id=\"x\" ok=true\n"
            ),
            "{text}"
        );
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json, log)).unwrap();
        assert_eq!(
            (&line["level"], &line["field.level"], &line["field.method"]),
            (&"INFO".into(), &9.into(), &"mine".into())
        );
    }

    #[test]
    fn a_misspelt_level_is_no_target() {
        for level in ["loud", "wran", "info,wran"] {
            LogConfig { level: level.into(), ..LogConfig::default() }.check("log").unwrap_err();
        }
        for level in ["WARN", "info,kit::access=warn", "off", "kit=trace"] {
            LogConfig { level: level.into(), ..LogConfig::default() }.check("log").unwrap();
        }
    }

    #[test]
    fn a_wrong_level_is_an_error_that_names_it() {
        let config = LogConfig { level: "loud=1=2".into(), ..LogConfig::default() };
        let error = config.layer::<tracing_subscriber::Registry>().err().unwrap();
        assert!(error.message().contains("loud"), "{error}");
    }

    #[test]
    fn secrets_are_masked_by_their_names_and_in_urls() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let text = logged(format, || {
                tracing::info!(
                    password = "s3cret",
                    authorization = %"s3cret",
                    user_pin = ?"s3cret",
                    error = %Error::internal("x").with_source("GET http://h/?access_token=s3cret"),
                    upstream = "redis://:s3cret@cache:6379",
                    tenant = "blue",
                    "can't reach mysql://root:s3cret@db/books"
                );
            });
            assert!(!text.contains("s3cret"), "{text}");
            assert!(text.contains("mysql://root:***@db/books") && text.contains("blue"), "{text}");
        }
    }

    #[test]
    fn settings_that_would_log_nothing_are_refused() {
        let config = LogConfig { stdout: false, ..LogConfig::default() };
        assert!(config.check("log").unwrap_err().message().starts_with("log.stdout is off"));
        LogConfig { file: FileConfig::new("a.log"), ..config }.check("log").unwrap();
    }
}
