//! The crate from outside: the conformance set, the rules one by one, and properties over random input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod conformance;
mod expanding;
mod model;
mod parsing;
mod properties;
mod routing;

use kit_template::{Found, Router, Template};

fn template(text: &str) -> Template {
    Template::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn router<'t>(routes: &[(&str, &'t str)]) -> Router<&'t str> {
    let mut router = Router::new();
    for (method, text) in routes {
        router.insert(method, template(text), *text).unwrap_or_else(|error| panic!("{error}"));
    }
    router
}

fn gets<'t>(templates: &[&'t str]) -> Router<&'t str> {
    router(&templates.iter().map(|text| ("GET", *text)).collect::<Vec<_>>())
}

/// The matched template and its variables by name; panics on anything but a match.
fn matched<'r>(router: &Router<&'r str>, method: &str, path: &str) -> (&'r str, Vec<(String, String)>) {
    match router.find(method, path) {
        Found::Match(found) => {
            let variables = found.variables.iter().map(|(variable, value)| (variable.to_string(), value.to_string()));
            (found.value, variables.collect())
        }
        other => panic!("{method} {path}: {other:?}"),
    }
}
