//! What a person or a script sees.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use super::Failure;
use crate::{
    Error, Message, Metadata,
    json::{self, Options},
};

/// Prints an answer; `streamed` answers are one line each even on a terminal.
pub(super) fn answer<M: Message>(message: &M, streamed: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let text = if !streamed && out.is_terminal() {
        let tree = json::to_value(message, &Options::default())?;
        serde_json::to_string_pretty(&tree).map_err(|e| Failure::Output(e.into()))?
    } else {
        json::to_string(message)?
    };
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Prints what travelled with an answer.
#[allow(clippy::print_stderr, reason = "a command line talks to its user")]
pub(super) fn metadata(metadata: &Metadata) {
    for (name, value) in metadata.iter() {
        eprintln!("{name}: {value}");
    }
}

/// Says what went wrong, and how the process ends.
#[allow(clippy::print_stderr, reason = "a command line talks to its user")]
pub(super) fn fail(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Usage(message) => {
            eprintln!("error: {message}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
        // Whoever read our output has had enough: `| head`.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Failure::Output(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
        Failure::Unreachable(address, error) => {
            eprintln!("error: {address} can't be reached: {}", root_cause(error));
            ExitCode::from(3)
        }
        Failure::Call(error) => {
            eprintln!("error: {error}");
            details(error);
            ExitCode::from(1)
        }
    }
}

/// What the operating system said: the last of the causes.
fn root_cause(error: &Error) -> &dyn std::error::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

#[allow(clippy::print_stderr, reason = "a command line talks to its user")]
fn details(error: &Error) {
    if let Some(reason) = error.reason() {
        eprintln!("  reason: {} ({})", reason.reason, reason.domain);
        for (key, value) in &reason.metadata {
            eprintln!("    {key}: {value}");
        }
    }
    for violation in error.field_violations() {
        eprintln!("  {}: {}", violation.field, violation.description);
    }
    if let Some(delay) = error.retry_delay() {
        eprintln!("  try again in {}", crate::duration::format(delay));
    }
    for detail in error.details() {
        eprintln!("  detail: {} ({} bytes)", detail.type_url, detail.value.len());
    }
}
