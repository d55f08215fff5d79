//! Log lines that carry the ids of the call they belong to: for people on a terminal, as JSON otherwise.
//!
//! ```
//! use kit::telemetry::log::LogConfig;
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! let subscriber = tracing_subscriber::registry().with(LogConfig::default().layer()?);
//! tracing::subscriber::with_default(subscriber, || tracing::info!(answer = 42, "ready"));
//! # Ok::<(), kit::Error>(())
//! ```
//!
//! A service's `main` calls [`LogConfig::init`] once. The ids come from [`crate::endpoint::current`], where the access log
//! puts them, so user code logs with plain `tracing` macros.

use std::io::{self, IsTerminal as _, Write};

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{Error, endpoint::current};

mod json;
mod text;
mod time;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// How lines look. Default: by where they go.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl LogConfig {
    /// A word that is no level would be taken for a target, and a log that is silent for a typo is found out at night.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let parts = || self.level.split(',').map(str::trim).filter(|part| !part.is_empty());
        let unknown = parts().find(|part| !part.contains('=') && !LEVELS.contains(&part.to_ascii_lowercase().as_str()));
        let reason = match (unknown, EnvFilter::builder().parse(&self.level)) {
            (None, Ok(_)) => return Ok(()),
            (Some(part), _) => format!("{part:?} is no level"),
            (None, Err(e)) => e.to_string(),
        };
        let level = &self.level;
        Err(("level", format!("{level:?} can't be read: {reason}; use {}, or target=level pairs", LEVELS.join(", "))))
    }

    /// Logs to stdout from now on.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the level can't be read, `FAILED_PRECONDITION` when the process logs already.
    pub fn init(&self) -> Result<(), Error> {
        let subscriber = tracing_subscriber::registry().with(self.layer()?);
        subscriber
            .try_init()
            .map_err(|e| Error::failed_precondition("the process has a log already: start it once").with_source(e))
    }

    /// The layer that [`LogConfig::init`] installs, for a subscriber of your own.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the level can't be read.
    pub fn layer<S>(&self) -> Result<impl Layer<S> + use<S>, Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.layer_to(io::stdout)
    }

    /// As [`LogConfig::layer`], writing somewhere else.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the level can't be read.
    pub fn layer_to<S, W>(&self, writer: W) -> Result<impl Layer<S> + use<S, W>, Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        self.check().map_err(|(key, message)| Error::invalid_argument(format!("log.{key} {message}")))?;
        let filter = EnvFilter::new(&self.level);
        let json = match self.format {
            LogFormat::Auto => !io::stdout().is_terminal(),
            LogFormat::Text => false,
            LogFormat::Json => true,
        };
        let colour = !json && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Ok(Lines { writer, json, colour }.with_filter(filter))
    }
}

/// Writes one line an event.
struct Lines<W> {
    writer: W,
    json: bool,
    colour: bool,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let ids = current::get();
        let mut line = Vec::with_capacity(256);
        if self.json {
            json::write(&mut line, event, ids.as_ref());
        } else {
            text::write(&mut line, event, ids.as_ref(), self.colour);
        }
        line.push(b'\n');
        // A log that can't be written must not stop the service, and there is nowhere else to say so.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{Context as CallContext, RequestId, endpoint::current::Ids};

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
        let config = LogConfig { level: "debug".into(), format };
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
    fn a_misspelt_level_is_no_target() {
        for level in ["loud", "wran", "info,wran"] {
            LogConfig { level: level.into(), ..LogConfig::default() }.check().unwrap_err();
        }
        for level in ["WARN", "info,kit::access=warn", "off", "kit=trace"] {
            LogConfig { level: level.into(), ..LogConfig::default() }.check().unwrap();
        }
    }

    #[test]
    fn a_wrong_level_is_an_error_that_names_it() {
        let config = LogConfig { level: "loud=1=2".into(), ..LogConfig::default() };
        let error = config.layer::<tracing_subscriber::Registry>().err().unwrap();
        assert!(error.message().contains("loud"), "{error}");
    }
}
