//! What a `google.protobuf.Any` may hold over HTTP.

use std::borrow::Cow;

use kit::{
    Connect, Endpoint, Endpoints, HttpRule, Method, MethodInfo, MethodKind, RuleBody, ServiceInfo, VisitEndpoints,
    json::Registry, server::Server,
};
use prost_types::Any;

use super::{Line, Running, Value, json, post, room};

/// Answers what it was sent. Its own package has no messages.
#[derive(Clone)]
struct Parcels(Endpoint<Any, Any>);

static PARCELS: ServiceInfo = ServiceInfo {
    name: "mail.Parcels",
    methods: &[],
    descriptors: &[],
    openapi: "",
    register: |registry| registry,
    kit_version: "",
};

impl Parcels {
    fn new() -> Self {
        let rule = HttpRule {
            method: "POST".into(),
            template: "/v1/parcel".into(),
            body: RuleBody::All,
            response_body: None,
            field_mask: None,
        };
        let info =
            MethodInfo { http: Cow::Owned(vec![rule]), ..MethodInfo::new("mail.Parcels", "Send", MethodKind::Unary) };
        Self(Endpoint::from_fn(Method::from(info), |_, parcel| async move { Ok(parcel) }))
    }
}

impl Endpoints for Parcels {
    const SERVICE: &'static ServiceInfo = &PARCELS;

    fn visit<V: VisitEndpoints>(&self, visitor: &mut V) {
        visitor.unary(&self.0);
    }
    fn connect<C: Connect>(connect: &C) -> Self {
        Self(connect.unary(Self::new().0.method()))
    }
}

/// They were known only to services that were added after them, and could not be made known to a server at all.
#[tokio::test]
async fn what_is_made_known_is_known_to_services_that_were_added_before() {
    let known = || Registry::default().with::<Line>();
    let servers = [
        Server::new().service(&Parcels::new()).registry(&known()),
        Server::new().registry(&known()).service(&Parcels::new()),
        // What one service brings along is known to all.
        Server::new().service(&Parcels::new()).service(&room()),
    ];
    let parcel = r#"{"@type":"type.googleapis.com/chat.Line","text":"hello"}"#;
    for server in servers {
        let server = Running::start(server).await;
        let answer = post(server.http, "/v1/parcel", parcel).await;
        assert_eq!((answer.status, answer.json()), (200, serde_json::from_str::<Value>(parcel).unwrap()));
    }
    let server = Running::start(Server::new().service(&Parcels::new())).await;
    let answer = post(server.http, "/v1/parcel", parcel).await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(3)), "{}", answer.text());
}
