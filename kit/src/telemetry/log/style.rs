//! How a line looks.

use std::{fmt::Write as _, io};

use serde_json::json;

use super::{LogFormat, json, text, time};
use crate::{endpoint::current, mask::Mask};

/// What one sink's lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) json: bool,
    pub(super) colour: bool,
}

impl Style {
    /// Of lines that go to stdout.
    pub(super) fn of_stdout(format: LogFormat) -> Self {
        let terminal = io::IsTerminal::is_terminal(&io::stdout());
        let json = match format {
            LogFormat::Auto => !terminal,
            LogFormat::Text => false,
            LogFormat::Json => true,
        };
        Self { json, colour: !json && terminal && std::env::var_os("NO_COLOR").is_none() }
    }

    /// Of lines that go to a file, which is no terminal.
    pub(super) fn of_file(format: LogFormat) -> Self {
        Self { json: format != LogFormat::Text, colour: false }
    }

    /// The line of an event, with its end.
    pub(super) fn line(self, event: &tracing::Event<'_>, mask: &Mask) -> Vec<u8> {
        let ids = current::get();
        let mut line = Vec::with_capacity(256);
        if self.json {
            json::write(&mut line, event, ids.as_ref(), mask);
        } else {
            text::write(&mut line, event, ids.as_ref(), self.colour, mask);
        }
        line.push(b'\n');
        line
    }

    /// A line that the log has to say itself. Not by a tracing event: the log would listen to itself.
    pub(super) fn notice(self, text: &str) -> Vec<u8> {
        let mut line = String::new();
        // Writing into memory does not fail.
        let _ = if self.json {
            // Values one by one, because an object of serde_json would be sorted by name, unlike all other lines.
            let (timestamp, text) = (json!(time::now()), json!(text));
            writeln!(line, r#"{{"timestamp":{timestamp},"level":"WARN","target":"{TARGET}","message":{text}}}"#)
        } else {
            writeln!(line, "{}  WARN {TARGET}: {text}", time::now())
        };
        line.into_bytes()
    }
}

/// The target of the log's own lines.
const TARGET: &str = "kit::log";
