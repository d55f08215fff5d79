//! Lines to stdout.

use std::{
    io::{self, Write as _},
    thread,
    time::Duration,
};

use super::{
    queue::{Lost, Sink, count},
    style::Style,
};

/// What can be said nowhere else.
pub(super) fn to_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub(super) struct Stdout {
    pub(super) style: Style,
}

impl Sink for Stdout {
    fn write(&mut self, mut lines: &[u8]) -> Lost {
        let mut out = io::stdout().lock();
        while !lines.is_empty() {
            match out.write(lines) {
                Ok(0) => break,
                Ok(written) => lines = lines.get(written..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Whoever gave us the descriptor made it non-blocking. Only this thread waits for it.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(Duration::from_millis(10)),
                Err(_) => break,
            }
        }
        // Stdout keeps what follows the last end of line, and here nothing does.
        let flushed = out.flush().is_ok();
        // Nobody reads it any more, and there is nowhere else to say so.
        let lost = count(lines);
        Lost { lines: lost, errors: u64::from(lost > 0 || !flushed) }
    }

    fn notice(&self, text: &str) -> Vec<u8> {
        self.style.notice(text)
    }
}
