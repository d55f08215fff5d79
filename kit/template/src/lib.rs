//! The path templates of `google.api.http`: parsed, compared, expanded and matched.
//!
//! A template such as `/v1/{name=shelves/*/books/*}:archive` is read in two places: by the code generator, which must
//! refuse a bad or ambiguous one while the service is built, and by the server, which must route by it. Both use this
//! crate, so a template that builds is a template that routes. It depends on nothing.
//!
//! ```
//! use kit_template::{Found, Router, Template};
//!
//! let mut router = Router::new();
//! router.insert("GET", Template::parse("/v1/{name=shelves/*}")?, "get shelf")?;
//! router.insert("POST", Template::parse("/v1/{name=shelves/*}:archive")?, "archive shelf")?;
//!
//! let Found::Match(found) = router.find("POST", "/v1/shelves/7:archive") else { panic!() };
//! assert_eq!(*found.value, "archive shelf");
//! let (variable, value) = &found.variables[0];
//! assert_eq!((variable.to_string().as_str(), value.as_ref()), ("name", "shelves/7"));
//!
//! assert_eq!(router.find("PUT", "/v1/shelves/7"), Found::MethodNotAllowed(vec!["GET"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is accepted beyond the grammar
//!
//! The grammar is the one in `http.proto`. Gateways in use accept more, and so does this crate where that has one
//! sensible meaning:
//!
//! - the template `/`, which matches the path `/` and nothing else;
//! - a `**` before the end, when only literals follow it: `/v1/{name=**}/history`;
//! - a verb with further colons: `/v1/{id}:cache:drop`.
//!
//! # What was chosen where gateways disagree
//!
//! - `**` matches zero segments everywhere, also before a verb: `/v1:purge` reaches `/v1/**:purge`.
//! - A `%2F` or `%2f` in a multi-segment variable stays as the client wrote it.
//! - A trailing slash counts: `/v1/books/` reaches neither `/v1/books` nor `/v1/books/{id}`.
//! - A colon that begins no known verb belongs to the value, and `%3A` never begins a verb.

mod error;
mod expand;
mod parse;
mod percent;
mod router;
mod template;
mod variable;

pub use error::{ExpandError, PathError, RouteConflict, TemplateError};
pub use router::{Found, Match, Router};
pub use template::{Segment, Template};
pub use variable::{Edge, Variable};
