use std::fmt::Write as _;

use axum::response::Response;
use http::request::Parts;
use serde_json::{Value, json};

use super::{
    Shared,
    html::{self, Escaped},
};
use crate::{
    Error,
    debug::{
        ConfigEntry,
        answer::{self, Form, Query},
    },
};

/// The effective settings.
pub(super) fn answer(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    let query = Query::read(&parts.uri, &["format"])?;
    let form = Form::wanted(&parts.headers, &query, Form::Html)?;
    let settings = shared.settings.as_deref().unwrap_or_default();
    if form == Form::Json {
        let settings: Vec<Value> = settings.iter().map(to_json).collect();
        return Ok(answer::json(&json!({ "settings": settings })));
    }
    let mut main = String::from(
        "<h1>Config</h1>\n<p class=\"lead\">What the service runs with, secrets masked, and where each value was set. \
         Programs read <a href=\"config?format=json\">the same as JSON</a>.</p>\n",
    );
    if settings.is_empty() {
        main.push_str(
            "<p class=\"empty\">Nothing to show: main passes no settings to <code>Debug::settings</code>.</p>\n",
        );
        return Ok(answer::html(html::document(shared, "Config", "", "", &main)));
    }
    main.push_str(
        "<p class=\"tools\"><input id=\"filter\" type=\"search\" placeholder=\"Filter\" aria-label=\"Filter settings\" \
         autocomplete=\"off\" spellcheck=\"false\" hidden></p>\n<div class=\"wide\"><table class=\"settings\">\n\
         <thead><tr><th>Key</th><th>Value</th><th>Set by</th></tr></thead>\n<tbody>\n",
    );
    for ConfigEntry { key, value, origin } in settings {
        let class = if origin == "default" { " class=\"default\"" } else { "" };
        let (key, value, origin) = (Escaped(key), Escaped(value), Escaped(origin));
        let _ = writeln!(
            main,
            "<tr{class}><th scope=\"row\">{key}</th><td><code>{value}</code></td><td>{origin}</td></tr>"
        );
    }
    main.push_str("</tbody></table></div>\n");
    Ok(answer::html(html::document(shared, "Config", "", "", &main)))
}

fn to_json(ConfigEntry { key, value, origin }: &ConfigEntry) -> Value {
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str()));
    json!({ "key": key, "value": value, "origin": origin })
}
