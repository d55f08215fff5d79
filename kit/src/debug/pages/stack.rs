use std::fmt::Write as _;

use axum::response::Response;
use http::request::Parts;
use serde_json::{Value, json};

use super::{
    Shared,
    html::{self, Escaped},
};
use crate::{
    Error, LayerInfo,
    debug::{
        answer::{self, Form, Query},
        stack::{self, MethodStack, kind_name, label, side_name, tone},
    },
    telemetry::metrics::Side,
};

/// The layers around each method.
pub(super) fn answer(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    let query = Query::read(&parts.uri, &["format"])?;
    if Form::wanted(&parts.headers, &query, Form::Html)? == Form::Json {
        let methods: Vec<Value> = shared.stack.iter().map(MethodStack::to_json).collect();
        return Ok(answer::json(&json!({ "methods": methods })));
    }
    let mut main = String::from(
        "<h1>Stack</h1>\n<p class=\"lead\">A call goes through these layers from left to right, and its answer back. \
         Programs read <a href=\"stack?format=json\">the same as JSON</a>. Settings are tried out until the next restart by \
         <code>curl -X PUT -d '{\"limit\": 20}' localhost:PORT/debug/stack/server/SERVICE/METHOD/LAYER</code>.</p>\n",
    );
    if shared.stack.is_empty() {
        main.push_str(
            "<p class=\"empty\">Nothing to show: main passes no endpoints to <code>Debug::service</code>.</p>\n",
        );
    }
    let mut before = None;
    for stack in &shared.stack {
        let heading = (stack.side, &stack.service);
        if before.replace(heading) != Some(heading) {
            let _ = writeln!(
                main,
                "<h2>{} <span class=\"tag\">{}</span></h2>",
                Escaped(&stack.service),
                side_name(stack.side)
            );
        }
        method(&mut main, stack);
    }
    Ok(answer::html(html::document(shared, "Stack", "", "", &main)))
}

fn method(main: &mut String, stack: &MethodStack) {
    let (name, kind) = (Escaped(&stack.method), kind_name(stack.kind));
    let _ = writeln!(
        main,
        "<section class=\"method\"><h3>{name} <span class=\"tag\">{kind}</span></h3>\n<ol class=\"chain\">"
    );
    for layer in &stack.layers {
        let _ = writeln!(main, "<li>{}</li>", layer_html(stack, layer));
    }
    let end = match stack.side {
        Side::Server => "handler",
        Side::Client => "channel",
    };
    let _ = writeln!(main, "<li class=\"end\"><h4>{end}</h4></li>\n</ol></section>");
}

fn layer_html(stack: &MethodStack, layer: &LayerInfo) -> String {
    let state = stack::state(layer);
    let chip = state.as_ref().and_then(label).map(|label| {
        let (tone, label) = (tone(label), Escaped(label));
        format!(" <span class=\"chip {tone}\">{label}</span>")
    });
    let mut html = format!("<h4>{}{}</h4>", Escaped(layer.name()), chip.unwrap_or_default());
    html.push_str(&html::fields(&layer.settings()));
    if let Some(state) = state.as_ref().filter(|state| !state.is_null()) {
        let _ = write!(html, "<h5>now</h5>{}", html::fields(state));
    }
    if layer.is_changeable() {
        let (side, service, method) = (side_name(stack.side), &stack.service, &stack.method);
        let path = format!("stack/{side}/{service}/{method}/{}", layer.name());
        let path = Escaped(&path);
        let _ = write!(html, "<p class=\"soft\">changed by <code>PUT</code> to <a href=\"{path}\">its address</a></p>");
    }
    html
}
