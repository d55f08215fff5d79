//! What is wrong with the `.proto` files, all of it at once.

use std::fmt;

/// Why no code was generated: every problem that was found, each with its place and what to do about it.
///
/// `Debug` prints what `Display` prints, because that is what cargo shows of a build script's error.
///
/// ```no_run
/// if let Err(error) = kit_build::compile(&["proto/details.proto"], &["proto"]) {
///     // proto/details.proto:12:12: `details.DetailReq` has no field `ids`, ...
///     panic!("{error}");
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    problems: Vec<Problem>,
}

impl Error {
    /// An error without a place: it is no file's fault.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { place: None, message: message.into() }] }
    }

    /// How many problems there are; at least one.
    pub fn count(&self) -> usize {
        self.problems.len()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The line break keeps the first problem in one column with the others behind cargo's `Error: `.
        if self.problems.len() > 1 {
            f.write_str("\n")?;
        }
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

#[derive(Clone, PartialEq, Eq)]
struct Problem {
    place: Option<Place>,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A place in a `.proto` file; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path as a person would type it.
    pub file: String,
    /// Line and column, where they are known.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Collects problems, so that one build shows them all.
#[derive(Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// A problem with its place.
    pub(crate) fn at(&mut self, place: Place, message: impl Into<String>) {
        self.push(Problem { place: Some(place), message: message.into() });
    }

    /// A problem whose place is unknown or in its message.
    pub(crate) fn add(&mut self, message: impl Into<String>) {
        self.push(Problem { place: None, message: message.into() });
    }

    fn push(&mut self, problem: Problem) {
        // A broken import is reported again by each file that imports it.
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// Nothing, or the error of all problems so far.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        if self.found.is_empty() { Ok(()) } else { Err(Error { problems: std::mem::take(&mut self.found) }) }
    }
}
