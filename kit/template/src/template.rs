//! A parsed template and what can be asked of it.

use std::fmt;
use std::str::FromStr;

use crate::{ExpandError, TemplateError, Variable, expand, parse};

/// The path of an HTTP rule, such as `/v1/{name=shelves/*}:archive`.
///
/// Two are equal when they are written alike; whether two match the same requests is asked with
/// [`conflicts_with`](Self::conflicts_with). [`Display`](fmt::Display) gives back what was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(crate) source: String,
    pub(crate) segments: Vec<Segment>,
    pub(crate) verb: Option<String>,
    pub(crate) variables: Vec<Variable>,
}

/// One place of a template between two slashes.
///
/// ```
/// # use kit_template::{Segment, Template};
/// let template = Template::parse("/v1/{name=shelves/*}/**")?;
/// let literal = |text: &str| Segment::Literal(text.to_owned());
/// assert_eq!(template.segments(), [literal("v1"), literal("shelves"), Segment::Any, Segment::Rest]);
/// # Ok::<(), kit_template::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text, percent-decoded; a request may escape it or not.
    Literal(String),
    /// `*`: any one segment that is not empty.
    Any,
    /// `**`: any number of segments, none included.
    Rest,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When `text` does not follow the grammar: it does not start with `/` or ends with one, a segment is empty or
    /// mixes a wildcard with text, a variable is nested, unclosed, misnamed or bound twice, something other than
    /// literals follows `**`, a character may not stand in a URL path, an escape is broken, or it has more than 128
    /// segments.
    ///
    /// ```
    /// # use kit_template::Template;
    /// assert!(Template::parse("/v1/{name=shelves/*}:archive").is_ok());
    /// assert!(Template::parse("/v1/{name=shelves/*}/").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::parse(text)
    }

    /// The segments, those inside of variables included; none for the template `/`.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The custom verb, percent-decoded and without its colon: `archive` in `/v1/{name}:archive`.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// The variables from left to right.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Whether a request that one of them matches can't be told from a request for the other.
    ///
    /// That is so when both have the same literals and the same wildcards in the same places and the same verb. How
    /// the variables are called, and which segments they span, makes no difference to a request. Templates that only
    /// overlap, `/v1/*` and `/v1/books`, do not conflict: the more specific one wins.
    ///
    /// ```
    /// # use kit_template::Template;
    /// let template = |text| Template::parse(text).unwrap();
    /// assert!(template("/v1/{name=books/*}").conflicts_with(&template("/v1/books/{id}")));
    /// assert!(!template("/v1/{id}").conflicts_with(&template("/v1/books")));
    /// ```
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.segments == other.segments && self.verb == other.verb
    }

    /// Builds the path of a request, which a router that holds this template matches with the same values.
    ///
    /// `value` is asked once for each variable by its dotted name. In a single-segment variable everything but
    /// `[-_.~0-9a-zA-Z]` is escaped; in a multi-segment one the slashes stay as well.
    ///
    /// # Errors
    ///
    /// Names the variable whose value is missing, is empty (an unset field would reach another resource), does not
    /// fit the variable's pattern, or has a segment `.` or `..` (clients and proxies remove those, escaped or not, so
    /// it would reach another resource too). A template with a wildcard outside of any variable can't be expanded.
    ///
    /// ```
    /// # use kit_template::Template;
    /// let template = Template::parse("/v1/{name=shelves/*}/{book}")?;
    /// let path = template.expand(|name| match name {
    ///     "name" => Some("shelves/my own".to_owned()),
    ///     "book" => Some("a/b".to_owned()),
    ///     _ => None,
    /// });
    /// assert_eq!(path.unwrap(), "/v1/shelves/my%20own/a%2Fb");
    /// # Ok::<(), kit_template::TemplateError>(())
    /// ```
    pub fn expand(&self, value: impl FnMut(&str) -> Option<String>) -> Result<String, ExpandError> {
        expand::expand(self, value)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}
