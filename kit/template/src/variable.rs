//! A variable of a template and the part of a path it stands for.

use std::fmt;
use std::ops::Range;

use crate::Segment;

/// A part of the path that is bound to a field of the request message.
///
/// ```
/// # use kit_template::{Edge, Template};
/// let template = Template::parse("/v1/{book.name=shelves/**}/history")?;
/// let variable = &template.variables()[0];
/// assert_eq!(variable.path(), ["book", "name"]);
/// assert_eq!(variable.range(), 1..3);
/// assert_eq!((variable.start(), variable.end()), (Edge::Front(1), Edge::Back(1)));
/// assert!(variable.is_multi_segment());
/// # Ok::<(), kit_template::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    path: Vec<String>,
    range: Range<usize>,
    start: Edge,
    end: Edge,
    multi_segment: bool,
}

impl Variable {
    pub(crate) fn new(path: Vec<String>, range: Range<usize>, segments: &[Segment]) -> Self {
        // Everything up to `**` has a fixed place seen from the front, everything behind it only from the back.
        let rest = segments.iter().position(|segment| *segment == Segment::Rest).unwrap_or(segments.len());
        let edge = |index: usize| {
            if index <= rest { Edge::Front(index) } else { Edge::Back(segments.len() - index) }
        };
        let pattern = segments.get(range.clone()).unwrap_or_default();
        Self {
            path,
            start: edge(range.start),
            end: edge(range.end),
            multi_segment: pattern.len() > 1 || pattern.contains(&Segment::Rest),
            range,
        }
    }

    /// The field's path through the request message, `["book", "name"]` for `{book.name}`; never empty.
    ///
    /// [`Display`](fmt::Display) joins it with dots.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The variable's segments within [`Template::segments`](crate::Template::segments), that is, in the template.
    ///
    /// In a path they may stand elsewhere, because a `**` is as long as the request makes it: see
    /// [`start`](Self::start) and [`end`](Self::end).
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Where the variable begins in a path.
    pub fn start(&self) -> Edge {
        self.start
    }

    /// Where the variable ends in a path (exclusive).
    pub fn end(&self) -> Edge {
        self.end
    }

    /// Whether the value may hold slashes between segments, so that an escaped `%2F` must stay escaped in it.
    ///
    /// True for a pattern of several segments and for `**`, even when a request gives it only one segment.
    pub fn is_multi_segment(&self) -> bool {
        self.multi_segment
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.path.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(field)?;
        }
        Ok(())
    }
}

/// A border between two segments of a path, counted from the side on which the template fixes it.
///
/// ```
/// # use kit_template::Edge;
/// assert_eq!(Edge::Front(1).index(4), 1);
/// assert_eq!(Edge::Back(1).index(4), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// So many segments stand before it.
    Front(usize),
    /// So many segments stand behind it.
    Back(usize),
}

impl Edge {
    /// The number of segments before this border in a path of `length` segments; never more than `length`.
    pub fn index(self, length: usize) -> usize {
        match self {
            Self::Front(before) => before.min(length),
            Self::Back(behind) => length.saturating_sub(behind),
        }
    }

    /// The byte of `body` (a path without its first `/`) at which a slice beginning at this border begins.
    pub(crate) fn begin(self, body: &str) -> usize {
        match self {
            Self::Front(0) => 0,
            Self::Front(before) => nth_slash(body, before).map_or(body.len(), |slash| slash + 1),
            Self::Back(0) => body.len(),
            Self::Back(behind) => nth_slash_from_end(body, behind).map_or(0, |slash| slash + 1),
        }
    }

    /// The byte of `body` at which a slice ending at this border ends.
    pub(crate) fn finish(self, body: &str) -> usize {
        match self {
            Self::Front(0) => 0,
            Self::Front(before) => nth_slash(body, before).unwrap_or(body.len()),
            Self::Back(0) => body.len(),
            Self::Back(behind) => nth_slash_from_end(body, behind).unwrap_or(0),
        }
    }
}

fn nth_slash(body: &str, nth: usize) -> Option<usize> {
    nth_of(slashes(body), nth)
}

fn nth_slash_from_end(body: &str, nth: usize) -> Option<usize> {
    nth_of(slashes(body).rev(), nth)
}

fn slashes(body: &str) -> impl DoubleEndedIterator<Item = usize> {
    body.bytes().enumerate().filter(|(_, b)| *b == b'/').map(|(offset, _)| offset)
}

fn nth_of(mut offsets: impl Iterator<Item = usize>, nth: usize) -> Option<usize> {
    offsets.nth(nth.checked_sub(1)?)
}
