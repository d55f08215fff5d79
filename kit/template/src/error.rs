//! What can go wrong, one opaque type per operation, so that a new reason never breaks a caller.

use std::error::Error;
use std::fmt;

use crate::Template;

/// Why a text is no path template: what is wrong, where, and what to write instead.
///
/// ```
/// # use kit_template::Template;
/// let error = Template::parse("/v1/books/").unwrap_err();
/// assert_eq!(error.offset(), 9);
/// assert_eq!(
///     error.to_string(),
///     "invalid path template `/v1/books/` at byte 9: a template does not end with `/`: remove it",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    pub(crate) template: String,
    pub(crate) message: String,
    pub(crate) offset: usize,
}

impl TemplateError {
    /// The byte of the template at which the mistake stands, for a caret under it in a build error.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The mistake alone, for a caller that prints the template and the place its own way.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { template, message, offset } = self;
        write!(f, "invalid path template `{template}` at byte {offset}: {message}")
    }
}

impl Error for TemplateError {}

/// Two templates of one HTTP method that no request can tell apart.
///
/// ```
/// # use kit_template::{Router, Template};
/// let mut router = Router::new();
/// router.insert("GET", Template::parse("/books/{id}")?, 1)?;
/// let conflict = router.insert("GET", Template::parse("/books/{name}")?, 2).unwrap_err();
/// assert_eq!(conflict.existing().to_string(), "/books/{id}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConflict {
    // Boxed because two templates would make every `Result` that carries this large.
    inner: Box<Conflict>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Conflict {
    method: String,
    template: Template,
    existing: Template,
}

impl RouteConflict {
    pub(crate) fn new(method: &str, template: Template, existing: Template) -> Self {
        let method = method.to_owned();
        Self { inner: Box::new(Conflict { method, template, existing }) }
    }

    /// The HTTP method both were given for.
    pub fn method(&self) -> &str {
        &self.inner.method
    }

    /// The template that was refused.
    pub fn template(&self) -> &Template {
        &self.inner.template
    }

    /// The template that was there before and stays.
    pub fn existing(&self) -> &Template {
        &self.inner.existing
    }
}

impl fmt::Display for RouteConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { method, template, existing } = &*self.inner;
        write!(
            f,
            "{method} `{template}` matches the same requests as {method} `{existing}`: change the method, a literal or \
             the verb of one of them"
        )
    }
}

impl Error for RouteConflict {}

/// Why a template could not be expanded into a path.
///
/// ```
/// # use kit_template::Template;
/// let template = Template::parse("/v1/{name=shelves/*}")?;
/// let error = template.expand(|_| Some("x/1".to_owned())).unwrap_err();
/// assert_eq!(error.variable(), Some("name"));
/// # Ok::<(), kit_template::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpandError {
    pub(crate) variable: Option<String>,
    pub(crate) message: String,
}

impl ExpandError {
    /// The dotted name of the variable at fault; `None` when the template has a wildcard outside of any variable.
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(f, "path variable `{variable}` {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Error for ExpandError {}

/// Why a request's path can't be routed at all: the caller's mistake, to be answered with 400.
///
/// ```
/// # use kit_template::{Found, Router};
/// let router = Router::<()>::new();
/// let Found::BadPath(error) = router.find("GET", "/a%zz") else { panic!() };
/// assert_eq!(error.to_string(), "the path has a bad percent escape at byte 2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError(pub(crate) PathProblem);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathProblem {
    NotAbsolute,
    BadEscape { offset: usize },
    NotUtf8 { variable: String },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            PathProblem::NotAbsolute => f.write_str("the path does not start with `/`"),
            PathProblem::BadEscape { offset } => {
                write!(f, "the path has a bad percent escape at byte {offset}")
            }
            PathProblem::NotUtf8 { variable } => {
                write!(f, "path variable `{variable}` is not UTF-8 once decoded")
            }
        }
    }
}

impl Error for PathError {}
