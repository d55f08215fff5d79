//! Stacks as a person wants to see them.

use std::{backtrace::Backtrace, fmt};

/// Deeper stacks are recursion.
const DEEPEST: usize = 100;

/// What stands above the place where an error was made or a panic began: how that is done. By name, and because functions that
/// were inlined have no path in their name, by file.
const MAKING: [&str; 7] = [
    "std::backtrace",
    "std::panicking",
    "core::panicking",
    "kit::error::",
    "<kit::error::",
    "kit::layer::recover::hook",
    "__rustc",
];
const MAKING_FILES: [&str; 5] =
    ["/library/std/", "/library/core/", "/library/alloc/", "src/error/mod.rs", "src/layer/recover/hook.rs"];

/// What stands below every call that is reported.
const END: &str = "kit::error::stack::capturing";

/// One function on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Its name with its path.
    pub function: String,
    /// The file, if the program has that information.
    pub file: Option<String>,
    /// The line in the file.
    pub line: Option<u64>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " at {file}:{line}"),
            (Some(file), None) => write!(f, " at {file}"),
            (None, _) => Ok(()),
        }
    }
}

/// The frames of the call, the innermost first. Making them readable takes milliseconds: not for a thread that serves calls.
pub(super) fn frames(stack: &Backtrace) -> Vec<Frame> {
    let text = stack.to_string();
    let all = parse(&text);
    let made = all.iter().position(|frame| !is_making(frame)).unwrap_or(0);
    let own = all.into_iter().skip(made).take_while(|frame| !frame.function.contains(END));
    own.take(DEEPEST).collect()
}

fn is_making(frame: &Frame) -> bool {
    MAKING.iter().any(|making| frame.function.starts_with(making))
        || frame.file.as_ref().is_some_and(|file| MAKING_FILES.iter().any(|making| file.contains(making)))
}

/// Reads what the standard library writes: `  4: name` and, where that is known, `at file:line:column` below it.
fn parse(text: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                let mut parts = place.rsplitn(3, ':');
                let (column, number, file) = (parts.next(), parts.next(), parts.next());
                let known = column.is_some_and(|column| column.parse::<u64>().is_ok());
                frame.line = number.filter(|_| known).and_then(|number| number.parse().ok());
                frame.file = Some(file.filter(|_| known).unwrap_or(place).to_owned());
            }
        } else if let Some((_, name)) = line.split_once(": ").filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit())) {
            frames.push(Frame { function: name.to_owned(), file: None, line: None });
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, error::stack::capturing};

    #[test]
    fn a_stack_begins_where_the_error_was_made_and_ends_with_the_call() {
        let error = capturing(true, || Error::internal("x"));
        let frames = frames(error.stack().unwrap());
        assert!(frames[0].function.contains("a_stack_begins_where_the_error_was_made"), "{frames:#?}");
        assert!(frames[0].file.as_ref().unwrap().ends_with("stack.rs") && frames[0].line.is_some());
        assert!(frames.iter().all(|frame| !frame.function.contains("test::run_test")), "{frames:#?}");
    }

    #[test]
    fn stacks_of_programs_without_debug_information_are_read_too() {
        let frames = parse("   0: a::b\n   1: <unknown>\n             at /a b/c.rs:12:3\nnoise\n  x: y\n");
        let frame = |function: &str, file: Option<&str>, line| Frame {
            function: function.to_owned(),
            file: file.map(str::to_owned),
            line,
        };
        assert_eq!(frames, [frame("a::b", None, None), frame("<unknown>", Some("/a b/c.rs"), Some(12))]);
        assert_eq!(parse("0: a\n at weird"), [frame("a", Some("weird"), None)]);
        assert_eq!(parse(""), []);
    }
}
