use std::{fmt, ops::Deref, sync::Arc};

/// A name or a value of a span: static, shared or its own.
#[derive(Clone)]
pub struct Text(Kind);

#[derive(Clone)]
enum Kind {
    Static(&'static str),
    Shared(Arc<str>),
    Own(Box<str>),
}

/// The longest text of a span in bytes: a page of it. With the limits on counts it bounds the memory of a span.
pub(super) const LONGEST: usize = 2048;

impl Text {
    /// The text, cut where it is too long.
    pub(super) fn bounded(self) -> Self {
        if self.len() <= LONGEST {
            return self;
        }
        let end = self.floor_char_boundary(LONGEST - ELLIPSIS.len());
        Self::from(format!("{}{ELLIPSIS}", self.get(..end).unwrap_or_default()))
    }

    /// What it costs to keep, without what it shares with others.
    pub(super) fn size(&self) -> usize {
        match &self.0 {
            Kind::Static(_) | Kind::Shared(_) => size_of::<Self>(),
            Kind::Own(text) => size_of::<Self>() + text.len(),
        }
    }
}

const ELLIPSIS: &str = "...";

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        match &self.0 {
            Kind::Static(text) => text,
            Kind::Shared(text) => text,
            Kind::Own(text) => text,
        }
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Kind::Static(text))
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self(Kind::Shared(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Kind::Own(text.into()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = Text::from("ä".repeat(LONGEST)).bounded();
        assert!(cut.len() <= LONGEST && cut.ends_with("ä..."), "{}", cut.len());
        assert_eq!(&*Text::from("short").bounded(), "short");
    }
}
