//! What stands around each method.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde_json::{Value, json};

use crate::{
    Endpoint, Endpoints, LayerInfo, Message, MethodKind, Payload, Streaming, VisitEndpoints, telemetry::metrics::Side,
};

/// A method and the layers around it, the outermost first.
pub(super) struct MethodStack {
    pub(super) side: Side,
    pub(super) service: Cow<'static, str>,
    pub(super) method: Cow<'static, str>,
    pub(super) kind: MethodKind,
    pub(super) layers: Vec<LayerInfo>,
}

/// The stacks of all methods of a service, in the order of declaration.
pub(super) fn of<E: Endpoints>(side: Side, endpoints: &E) -> Vec<MethodStack> {
    let mut collect = Collect { side, stacks: Vec::new() };
    endpoints.visit(&mut collect);
    collect.stacks
}

struct Collect {
    side: Side,
    stacks: Vec<MethodStack>,
}

impl Collect {
    fn add<Req: Payload, Res: Payload>(&mut self, endpoint: &Endpoint<Req, Res>) {
        let method = endpoint.method();
        self.stacks.push(MethodStack {
            side: self.side,
            service: method.service.clone(),
            method: method.name.clone(),
            kind: method.kind,
            layers: endpoint.layers().to_vec(),
        });
    }
}

impl VisitEndpoints for Collect {
    fn unary<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Res>) {
        self.add(endpoint);
    }

    fn client_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Res>) {
        self.add(endpoint);
    }

    fn server_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Streaming<Res>>) {
        self.add(endpoint);
    }

    fn bidi_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Streaming<Res>>) {
        self.add(endpoint);
    }
}

impl MethodStack {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "side": side_name(self.side), "service": self.service, "method": self.method, "kind": kind_name(self.kind),
            "layers": self.layers.iter().map(layer_json).collect::<Vec<_>>(),
        })
    }
}

/// A layer with its settings and its state.
pub(super) fn layer_json(layer: &LayerInfo) -> Value {
    let mut object = json!({ "name": layer.name(), "settings": layer.settings() });
    if let (Some(state), Some(object)) = (state(layer), object.as_object_mut()) {
        object.insert("state".to_owned(), state);
    }
    object
}

/// What a layer says of its state now; null should its code panic, so that the others are still shown.
pub(super) fn state(layer: &LayerInfo) -> Option<Value> {
    catch_unwind(AssertUnwindSafe(|| layer.state())).unwrap_or(Some(Value::Null))
}

/// What the layers that have a state say of it now.
pub(super) fn states(stacks: &[MethodStack]) -> Value {
    let mut states = Vec::new();
    for stack in stacks {
        for layer in &stack.layers {
            let Some(state) = state(layer) else { continue };
            let label = label(&state).map(str::to_owned);
            states.push(json!({
                "side": side_name(stack.side), "service": stack.service, "method": stack.method, "layer": layer.name(),
                "tone": label.as_deref().map_or("plain", tone), "label": label, "state": state,
            }));
        }
    }
    Value::Array(states)
}

/// The one word that a state is known by: a text, or the member `state` of an object.
pub(super) fn label(state: &Value) -> Option<&str> {
    state.as_str().or_else(|| state.get("state")?.as_str())
}

/// How that word is shown: whether calls pass. Layers may use any word; those that are not known are plain.
pub(super) fn tone(label: &str) -> &'static str {
    let label = label.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| label.contains(word));
    if has(&["half", "prob", "warn", "degraded"]) {
        "warn"
    } else if has(&["open", "reject", "shed", "eject", "exhaust", "full", "fail", "down"]) {
        "bad"
    } else if has(&["closed", "ok", "ready", "healthy", "up"]) {
        "good"
    } else {
        "plain"
    }
}

pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Server => "server",
        Side::Client => "client",
    }
}

pub(super) fn kind_name(kind: MethodKind) -> &'static str {
    match kind {
        MethodKind::Unary => "unary",
        MethodKind::ClientStreaming => "client streaming",
        MethodKind::ServerStreaming => "server streaming",
        MethodKind::BidiStreaming => "bidi streaming",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_known_by_a_word() {
        for (state, expected) in [
            (json!("open"), Some(("open", "bad"))),
            (json!({ "state": "half_open", "probes": 1 }), Some(("half_open", "warn"))),
            (json!({ "state": "Closed" }), Some(("Closed", "good"))),
            (json!({ "state": "thinking" }), Some(("thinking", "plain"))),
            (json!({ "state": 3 }), None),
            (json!({ "limit": 10 }), None),
            (Value::Null, None),
        ] {
            assert_eq!(label(&state).map(|label| (label, tone(label))), expected, "{state}");
        }
    }
}
