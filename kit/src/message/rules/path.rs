use std::fmt;

/// Where a check is: a list from the value outwards, each link on the stack of the check that it is part of.
#[derive(Debug)]
pub(super) struct At<'a> {
    outer: Option<&'a At<'a>>,
    step: Step<'a>,
    /// How many messages are around it.
    pub(super) depth: u16,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// The message itself.
    Root,
    Field(&'static str),
    Index(usize),
    /// The value of an entry of a map.
    Value(Key<'a>),
    /// The key of one.
    Key(Key<'a>),
}

/// A key of a map, as a path shows it.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// Any signed integer.
    Int(i64),
    /// Any unsigned integer.
    Uint(u64),
    /// A bool.
    Bool(bool),
    /// A string.
    Text(&'a str),
}

impl<'a> At<'a> {
    pub(super) fn root() -> Self {
        Self { outer: None, step: Step::Root, depth: 0 }
    }

    pub(super) fn then<'b>(&'b self, step: Step<'b>) -> At<'b> {
        At { outer: Some(self), step, depth: self.depth }
    }

    pub(super) fn is_key(&self) -> bool {
        matches!(self.step, Step::Key(_))
    }
}

/// `book.pages[3].text`, `labels["a"]`; nothing for the message itself.
impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            outer.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => {
                let is_first = self.outer.is_none_or(|outer| matches!(outer.step, Step::Root));
                write!(f, "{}{name}", if is_first { "" } else { "." })
            }
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Value(key) | Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(key) => key.fmt(f),
            Self::Uint(key) => key.fmt(f),
            Self::Bool(key) => key.fmt(f),
            Self::Text(key) => {
                // The caller sends it: a key of a megabyte would come back once for each violation.
                let shown = crate::json::scalar::shorten(key);
                f.write_str(&serde_json::Value::from(shown.as_ref()).to_string())
            }
        }
    }
}
