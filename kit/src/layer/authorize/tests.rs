use super::*;
use crate::{Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request, layer::auth::Identity};

fn method(name: &'static str) -> Method {
    Method::from(MethodInfo::new("demo.Demo", name, MethodKind::Unary))
}

fn endpoint(name: &'static str, authorize: &Authorize) -> Endpoint<String, String> {
    Endpoint::from_fn(method(name), |_, text: String| async move { Ok(text) }).with(authorize)
}

async fn call(endpoint: &Endpoint<String, String>, identity: Option<Identity>) -> Result<(), Error> {
    let mut cx = Context::background();
    if let Some(identity) = identity {
        cx.set_extension(identity);
    }
    endpoint.call(Request::new(cx, "a".to_owned())).await.map(|_| ())
}

fn ann() -> Identity {
    Identity::new("ann")
}

async fn code(endpoint: &Endpoint<String, String>, identity: Option<Identity>) -> Code {
    call(endpoint, identity).await.map_or_else(|error| error.code(), |()| Code::Ok)
}

#[tokio::test]
async fn all_scopes_and_one_of_the_roles_are_needed() {
    let rule = MethodRule { roles: vec!["editor".into(), "admin".into()], ..MethodRule::scopes(["read", "write"]) };
    let authorize = Authorize::new(&AuthorizeConfig::default().with_method("Say", rule)).unwrap();
    let say = endpoint("Say", &authorize);
    for (scopes, roles, expected) in [
        (vec!["read", "write", "more"], vec!["admin"], Code::Ok),
        (vec!["read", "write"], vec!["editor", "other"], Code::Ok),
        (vec!["read"], vec!["admin"], Code::PermissionDenied),
        (vec!["read write"], vec!["admin"], Code::PermissionDenied),
        (vec!["read", "write"], vec![], Code::PermissionDenied),
        (vec!["read", "write"], vec!["Admin"], Code::PermissionDenied),
    ] {
        let identity = ann().with_scopes(scopes.clone()).with_roles(roles.clone());
        assert_eq!(code(&say, Some(identity)).await, expected, "{scopes:?} {roles:?}");
    }
    assert_eq!(code(&say, None).await, Code::Unauthenticated);
    assert_eq!(authorize.denied(&method("Say")), 5);
}

#[tokio::test]
async fn what_is_missing_is_told_the_log_and_not_the_caller() {
    let config = AuthorizeConfig::default().with_method("Say", MethodRule::scopes(["books.secret"]));
    let say = endpoint("Say", &Authorize::new(&config).unwrap());
    let error = call(&say, Some(ann())).await.unwrap_err();
    assert_eq!(
        (error.message(), &*error.reason().unwrap().reason),
        ("you may not call this method", "PERMISSION_DENIED")
    );
    assert!(error.reason().unwrap().metadata.is_empty() && error.details().is_empty() && error.metadata().is_empty());
    let log = error.to_log().to_string();
    assert!(log.contains("books.secret") && log.contains("ann"), "{log}");

    let error = call(&say, None).await.unwrap_err();
    assert_eq!(error.metadata().get("www-authenticate"), Some("Bearer"));
    assert_eq!(error.reason().unwrap().reason, "UNAUTHENTICATED");
}

#[tokio::test]
async fn methods_without_a_rule_follow_the_default_and_public_ones_need_nobody() {
    for (config, known) in [(AuthorizeConfig::default(), Code::PermissionDenied), (AuthorizeConfig::allow(), Code::Ok)]
    {
        let config =
            config.with_method("Open", MethodRule::public()).with_method("demo.Demo/Known", MethodRule::default());
        let authorize = Authorize::new(&config).unwrap();
        let (other, open, of_known) =
            (endpoint("Other", &authorize), endpoint("Open", &authorize), endpoint("Known", &authorize));
        assert_eq!([code(&other, Some(ann())).await, code(&other, None).await], [known, Code::Unauthenticated]);
        assert_eq!([code(&open, Some(ann())).await, code(&open, None).await], [Code::Ok; 2]);
        assert_eq!(
            [code(&of_known, Some(ann())).await, code(&of_known, None).await],
            [Code::Ok, Code::Unauthenticated]
        );
    }
}

#[tokio::test]
async fn the_whole_name_of_a_method_goes_before_the_short_one() {
    let config = AuthorizeConfig::default()
        .with_method("Say", MethodRule::public())
        .with_method("demo.Demo/Say", MethodRule::default());
    assert_eq!(code(&endpoint("Say", &Authorize::new(&config).unwrap()), None).await, Code::Unauthenticated);
}

#[tokio::test]
async fn the_rule_of_the_program_and_the_settings_must_agree() {
    let config = AuthorizeConfig::default()
        .with_method("Say", MethodRule::scopes(["speech"]))
        .with_method("Open", MethodRule::public());
    let authorize = Authorize::new(&config).unwrap().with_rule(|cx, identity| {
        let banned = identity.is_some_and(|identity| identity.subject() == "bob");
        let method = cx.metadata().get("x-method").is_some();
        if banned || method { Err(Error::permission_denied("not you")) } else { Ok(()) }
    });
    let (say, open) = (endpoint("Say", &authorize), endpoint("Open", &authorize));
    let bob = Identity::new("bob").with_scopes(["speech"]);
    assert_eq!(code(&say, Some(ann().with_scopes(["speech"]))).await, Code::Ok);
    assert_eq!(call(&say, Some(bob.clone())).await.unwrap_err().message(), "not you");
    assert_eq!(call(&say, Some(ann())).await.unwrap_err().message(), "you may not call this method");
    assert_eq!([code(&open, None).await, code(&open, Some(bob)).await], [Code::Ok, Code::PermissionDenied]);
    assert_eq!([authorize.denied(&method("Say")), authorize.denied(&method("Open"))], [2, 1]);
}

#[test]
fn the_layer_tells_of_its_rule_and_misspelt_names_are_found() {
    let config = AuthorizeConfig::default()
        .with_method("Say", MethodRule::roles(["editor"]))
        .with_method("Sya", MethodRule::public());
    let authorize = Authorize::new(&config).unwrap();
    let say = endpoint("Say", &authorize);
    assert_eq!(say.layers()[0].settings()["rule"]["roles"], serde_json::json!(["editor"]));
    assert_eq!(endpoint("Other", &authorize).layers()[0].settings()["rule"], "deny");
    assert!(say.layers()[0].change(&serde_json::json!({ "rule": "allow" })).is_err());
    assert_eq!(authorize.unknown_methods(), ["Sya"]);
    assert!(AuthorizeLayer::none().info().is_none());
}

#[cfg(feature = "metrics")]
#[test]
fn what_was_refused_is_told_by_method() {
    use crate::telemetry::metrics::{Format, Metrics, Side};
    let metrics = Metrics::new();
    let authorize = Authorize::new(&AuthorizeConfig::default()).unwrap();
    authorize.observe(&metrics, &method("Say"), Side::Server).unwrap();
    futures_util::future::FutureExt::now_or_never(call(&endpoint("Say", &authorize), None)).unwrap().unwrap_err();
    let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let line = r#"kit_authorize_denied_total{rpc_method="Say",rpc_service="demo.Demo",side="server"} 1"#;
    assert!(text.contains(line), "{text}");
}
