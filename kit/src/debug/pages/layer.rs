use std::sync::Arc;

use axum::{extract::Request, response::Response, routing::MethodRouter};
use http::{StatusCode, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Shared, page};
use crate::{
    Error, LayerInfo,
    debug::{
        Refusal,
        answer::{self, Query},
        stack::{MethodStack, layer_json, side_name},
    },
};

/// Below it are the layers, each at `side/service/method/layer`.
pub(super) const PATH: &str = "/debug/stack/{side}/{service}/{method}/{layer}";

/// No settings are longer; this much is read of anything.
const MAX_BODY: usize = 64 * 1024;

pub(super) fn routes(shared: &Arc<Shared>) -> MethodRouter {
    let put = Arc::clone(shared);
    page(shared, read).put(async move |request: Request| {
        let (parts, body) = request.into_parts();
        match axum::body::to_bytes(body, MAX_BODY).await {
            Ok(body) => answer::either(&parts.headers, change(&put, &parts, &body)),
            Err(_) => {
                let text = format!("the body could not be read, or is longer than {MAX_BODY} bytes");
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text).respond(&parts.headers)
            }
        }
    })
}

/// The settings of a layer and its state.
fn read(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    Query::read(&parts.uri, &["format"])?;
    Ok(answer::json(&layer_json(find(shared, parts)?)))
}

/// Other settings for a layer: an object with those that are to change.
fn change(shared: &Shared, parts: &Parts, body: &[u8]) -> Result<Response, Error> {
    Query::read(&parts.uri, &["format"])?;
    let layer = find(shared, parts)?;
    let wrong = |e| Error::invalid_argument(format!("the body is no JSON object such as {{\"limit\": 20}}: {e}"));
    let changes: Value = serde_json::from_slice(body).map_err(wrong)?;
    layer.change(&changes)?;
    // Values may be secrets, as the URL of a shared limit is: the names say enough.
    let changed: Vec<&str> = changes.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let path = parts.uri.path();
    tracing::warn!(
        path,
        changed = changed.join(", "),
        "a layer was changed on the debug port, until the next restart or change"
    );
    Ok(answer::json(&layer_json(layer)))
}

fn find<'a>(shared: &'a Shared, parts: &Parts) -> Result<&'a LayerInfo, Error> {
    let path = parts.uri.path().strip_prefix("/debug/stack/").unwrap_or_default();
    let names: Vec<_> = path.split('/').map(|name| percent_decode_str(name).decode_utf8_lossy()).collect();
    let [side, service, method, layer] = names.as_slice() else {
        return Err(Error::not_found("a layer is at side/service/method/layer"));
    };
    let of_method =
        |stack: &&MethodStack| side_name(stack.side) == side && stack.service == *service && stack.method == *method;
    let Some(stack) = shared.stack.iter().find(of_method) else {
        return Err(Error::not_found(format!(
            "there is no method {service}/{method} on the side {side:?}: /debug/stack lists them, the sides are server and client"
        )));
    };
    let found = stack.layers.iter().find(|known| known.name() == layer);
    found.ok_or_else(|| {
        let there: Vec<_> = stack.layers.iter().map(LayerInfo::name).collect();
        Error::not_found(format!(
            "there is no layer {layer:?} around {service}/{method}; there are: {}",
            there.join(", ")
        ))
    })
}
