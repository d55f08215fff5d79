//! From a request's method and path to what was inserted for it.

mod trie;

use std::borrow::Cow;
use std::collections::BTreeMap;

use self::trie::Node;
use crate::error::PathProblem;
use crate::percent::{self, Slash};
use crate::{PathError, RouteConflict, Template, Variable};

/// The method under which a template answers every method, from `http.proto`'s text on custom rules.
const ANY_METHOD: &str = "*";

/// A value for each pair of HTTP method and [`Template`].
///
/// Where several templates match, the most specific one wins, seen from the left: a literal before `*`, `*` before
/// `**`, among those that end in `**` plus literals the one with more literals. If the preferred branch turns out to
/// lead nowhere, the next one is tried. A template whose verb the path ends with comes before all templates without.
///
/// Methods are compared as they are written. The method `*` (a custom rule's way to say "any method") answers what no
/// template of the request's own method does.
///
/// ```
/// # use kit_template::{Found, Router, Template};
/// let mut router = Router::new();
/// for template in ["/books/{id}", "/books/new", "/{path=**}"] {
///     router.insert("GET", Template::parse(template)?, template)?;
/// }
/// let find = |path| match router.find("GET", path) {
///     Found::Match(found) => *found.value,
///     other => panic!("{other:?}"),
/// };
/// assert_eq!(find("/books/new"), "/books/new");
/// assert_eq!(find("/books/7"), "/books/{id}");
/// assert_eq!(find("/books/7/pages"), "/{path=**}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Router<T> {
    routes: Vec<Route<T>>,
    // Ordered, so that the methods of a 405 come out sorted.
    methods: BTreeMap<String, Methodless>,
}

#[derive(Clone, Debug)]
struct Route<T> {
    template: Template,
    value: T,
}

/// What a [`Router`] knows about a request.
///
/// ```
/// # use kit_template::{Found, Router, Template};
/// let mut router = Router::new();
/// router.insert("GET", Template::parse("/books/{id}")?, ())?;
/// assert!(matches!(router.find("GET", "/books/7"), Found::Match(_)));
/// assert_eq!(router.find("POST", "/books/7"), Found::MethodNotAllowed(vec!["GET"]));
/// assert_eq!(router.find("GET", "/books"), Found::NotFound);
/// assert!(matches!(router.find("GET", "books"), Found::BadPath(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'r, 'p, T> {
    /// A template matches.
    Match(Match<'r, 'p, T>),
    /// Only templates of these other methods match: sorted, at least one, ready for an `Allow` header.
    MethodNotAllowed(Vec<&'r str>),
    /// No template matches, whatever the method.
    NotFound,
    /// The path does not start with `/`, has a broken escape, or a variable's value is not UTF-8.
    BadPath(PathError),
}

/// A template that matches a request, and what the request says for its variables.
///
/// ```
/// # use kit_template::{Found, Router, Template};
/// let mut router = Router::new();
/// router.insert("GET", Template::parse("/books/{id}")?, "get book")?;
/// let Found::Match(found) = router.find("GET", "/books/a%20b") else { panic!() };
/// assert_eq!(found.template.to_string(), "/books/{id}");
/// assert_eq!(found.variables[0].1, "a b");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'r, 'p, T> {
    /// What was inserted.
    pub value: &'r T,
    /// The template it was inserted for: the name of the route in logs and metrics.
    pub template: &'r Template,
    /// The variables from left to right with their decoded values; borrowed from the path where nothing was escaped.
    pub variables: Vec<(&'r Variable, Cow<'p, str>)>,
}

impl<T> Router<T> {
    /// A router that finds nothing yet.
    pub fn new() -> Self {
        Self { routes: Vec::new(), methods: BTreeMap::new() }
    }

    /// Adds a route.
    ///
    /// # Errors
    ///
    /// When the method has a template already that no request can tell from this one (see
    /// [`Template::conflicts_with`]). The router stays as it was.
    ///
    /// ```
    /// # use kit_template::{Router, Template};
    /// let mut router = Router::new();
    /// assert!(router.insert("GET", Template::parse("/books/{id}")?, 1).is_ok());
    /// assert!(router.insert("GET", Template::parse("/books/{id=*}")?, 2).is_err());
    /// assert!(router.insert("PUT", Template::parse("/books/{id}")?, 3).is_ok());
    /// # Ok::<(), kit_template::TemplateError>(())
    /// ```
    pub fn insert(&mut self, method: &str, template: Template, value: T) -> Result<(), RouteConflict> {
        let slot = self.methods.entry(method.to_owned()).or_default().slot(&template);
        if let Some(existing) = slot.and_then(|index| self.routes.get(index)) {
            return Err(RouteConflict::new(method, template, existing.template.clone()));
        }
        *slot = Some(self.routes.len());
        self.routes.push(Route { template, value });
        Ok(())
    }

    /// Finds the route of a request by the path as it came: still percent-encoded, without the query.
    ///
    /// Nothing is allocated for a template without variables and a path without escapes. Backtracking is bounded: each
    /// segment in the tree of templates is visited at most once for each colon that the method's longest verb has.
    ///
    /// ```
    /// # use kit_template::{Found, Router, Template};
    /// let mut router = Router::new();
    /// router.insert("GET", Template::parse("/files/{path=**}")?, ())?;
    /// let Found::Match(found) = router.find("GET", "/files/a%20b/c%2Fd") else { panic!() };
    /// assert_eq!(found.variables[0].1, "a b/c%2Fd");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find<'r, 'p>(&'r self, method: &str, path: &'p str) -> Found<'r, 'p, T> {
        let Some(body) = path.strip_prefix('/') else {
            return Found::BadPath(PathError(PathProblem::NotAbsolute));
        };
        if let Some(offset) = percent::first_bad_escape(path) {
            return Found::BadPath(PathError(PathProblem::BadEscape { offset }));
        }
        let own = self.methods.get(method).and_then(|routes| routes.find(body));
        let hit = own.or_else(|| self.methods.get(ANY_METHOD)?.find(body));
        if let Some(hit) = hit
            && let Some(route) = self.routes.get(hit.route)
        {
            return match bind(&route.template, hit.body) {
                Ok(variables) => Found::Match(Match { value: &route.value, template: &route.template, variables }),
                Err(error) => Found::BadPath(error),
            };
        }
        let others = self.methods.iter().filter(|(_, routes)| routes.find(body).is_some());
        let allowed: Vec<&str> = others.map(|(method, _)| method.as_str()).collect();
        if allowed.is_empty() { Found::NotFound } else { Found::MethodNotAllowed(allowed) }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn bind<'r, 'p>(template: &'r Template, body: &'p str) -> Result<Vec<(&'r Variable, Cow<'p, str>)>, PathError> {
    let bound = template.variables().iter().map(|variable| {
        // A `**` that matches nothing may begin behind its own end; it is empty all the same.
        let raw = body.get(variable.start().begin(body)..variable.end().finish(body)).unwrap_or_default();
        let slash = if variable.is_multi_segment() { Slash::Separator } else { Slash::Plain };
        let not_utf8 = || PathError(PathProblem::NotUtf8 { variable: variable.to_string() });
        Ok((variable, percent::decode_text(raw, slash).ok_or_else(not_utf8)?))
    });
    bound.collect()
}

/// The routes of one method: a trie for each verb and one for those without.
#[derive(Clone, Debug, Default)]
struct Methodless {
    plain: Node,
    verbs: BTreeMap<String, Node>,
    /// The most colons that one verb takes, its first included: a path full of colons must not cost a try for each.
    verb_colons: usize,
}

struct Hit<'p> {
    route: usize,
    /// The path without its first slash and its verb.
    body: &'p str,
}

impl Methodless {
    fn slot(&mut self, template: &Template) -> &mut Option<usize> {
        let root = match template.verb() {
            Some(verb) => {
                self.verb_colons = self.verb_colons.max(verb.matches(':').count() + 1);
                self.verbs.entry(verb.to_owned()).or_default()
            }
            None => &mut self.plain,
        };
        root.slot(template.segments())
    }

    fn find<'p>(&self, body: &'p str) -> Option<Hit<'p>> {
        let try_root = |root: &Node, body: &'p str| {
            // `/` has no segments, while `/a/` has two: `a` and an empty one.
            let segments = (!body.is_empty()).then_some(body);
            Some(Hit { route: root.find(segments)?, body })
        };
        // The longest verb first: of `:drop` and `:cache:drop` the second says more about the path.
        (1..=self.verb_colons)
            .rev()
            .filter_map(|colons| split_verb(body, colons))
            .find_map(|(body, verb)| {
                let verb = percent::decode_text(verb, Slash::Plain)?;
                try_root(self.verbs.get(verb.as_ref())?, body)
            })
            .or_else(|| try_root(&self.plain, body))
    }
}

/// Splits at the colon that is `nth` from the end of the last segment.
fn split_verb(body: &str, nth: usize) -> Option<(&str, &str)> {
    let last = body.rsplit('/').next()?;
    let (colon, _) = last.rmatch_indices(':').nth(nth.checked_sub(1)?)?;
    let (body, verb) = body.split_at_checked(body.len() - last.len() + colon)?;
    Some((body, verb.strip_prefix(':')?))
}
