use serde_json::json;

use super::*;
use crate::{Code, Context, Endpoint, Error, Metadata, Method, MethodInfo, MethodKind, Request, Streaming};

/// Knows callers by the header `x-key`, after a while.
struct Keys;

impl Authenticate for Keys {
    async fn authenticate(&self, cx: &Context) -> Result<Identity, Error> {
        tokio::task::yield_now().await;
        match cx.metadata().get("x-key") {
            None => Err(Failure::Missing.into()),
            Some("old") => Err(Failure::Expired.into()),
            Some("down") => Err(Error::unavailable("the keys are away")),
            Some("own") => {
                let mut metadata = Metadata::new();
                metadata.insert("www-authenticate", "Own")?;
                Err(Error::unauthenticated("ask ann").with_reason("OWN", "test").with_metadata(metadata))
            }
            Some(key) if key.starts_with("k-") => Ok(Identity::new(key)),
            Some(_) => Err(Failure::Signature.into()),
        }
    }

    fn describe(&self) -> serde_json::Value {
        json!({ "keys": 3 })
    }
}

fn method(name: &'static str) -> Method {
    Method::from(MethodInfo::new("demo.Demo", name, MethodKind::Unary))
}

/// Answers with the subject.
fn who(name: &'static str, auth: &Auth) -> Endpoint<String, String> {
    Endpoint::from_fn(method(name), |cx: Context, _: String| async move {
        Ok(cx.extension::<Identity>().map_or_else(|| "nobody".to_owned(), |identity| identity.subject().to_owned()))
    })
    .with(auth)
}

async fn call(endpoint: &Endpoint<String, String>, key: &str) -> Result<String, Error> {
    let mut cx = Context::background();
    if !key.is_empty() {
        cx.metadata_mut().insert("x-key", key).unwrap();
    }
    endpoint.call(Request::new(cx, String::new())).await.map(|answer| answer.into_message())
}

fn auth(config: &AuthConfig) -> Auth {
    Auth::new(Keys, config).unwrap()
}

#[tokio::test]
async fn who_is_known_is_told_the_handler_and_nobody_else_comes_to_it() {
    let auth = auth(&AuthConfig::default());
    let say = who("Say", &auth);
    assert_eq!(call(&say, "k-ann").await.unwrap(), "k-ann");
    for (key, challenge, message) in [
        ("", "Bearer", "the call needs a token: send it as authorization"),
        ("old", "Bearer error=\"invalid_token\", error_description=\"the token has expired\"", "the token has expired"),
        ("bad", "Bearer error=\"invalid_token\"", "the token is not valid"),
    ] {
        let error = call(&say, key).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Unauthenticated, message));
        assert_eq!(error.metadata().get("www-authenticate"), Some(challenge));
        assert_eq!(error.reason().unwrap().reason, "UNAUTHENTICATED");
        assert!(!error.is_retryable() && !error.is_fault());
    }
    let figures = auth.figures(&method("Say"));
    assert_eq!((figures.total(), figures.rejected(Failure::Missing), figures.rejected(Failure::Signature)), (3, 1, 1));
    assert!(call(&say, "bad").await.unwrap_err().to_log().to_string().contains("signature"));
}

#[tokio::test]
async fn what_an_authenticator_says_itself_is_left_as_it_is() {
    let auth = auth(&AuthConfig::default());
    let say = who("Say", &auth);
    let down = call(&say, "down").await.unwrap_err();
    assert_eq!((down.code(), down.metadata().len(), down.reason()), (Code::Unavailable, 0, None));
    let own = call(&say, "own").await.unwrap_err();
    assert_eq!((own.metadata().get("www-authenticate"), &*own.reason().unwrap().reason), (Some("Own"), "OWN"));
    let figures = auth.figures(&method("Say"));
    assert_eq!((figures.errors, figures.rejected(Failure::Other)), (1, 1));
}

#[tokio::test]
async fn public_methods_are_open_and_know_who_is_known() {
    for name in ["Open", "demo.Demo/Open"] {
        let auth = auth(&AuthConfig::default().with_public(name));
        let open = who("Open", &auth);
        for (key, expected) in
            [("", "nobody"), ("k-ann", "k-ann"), ("old", "nobody"), ("bad", "nobody"), ("down", "nobody")]
        {
            assert_eq!(call(&open, key).await.unwrap(), expected, "{key}");
        }
        assert_eq!(auth.figures(&method("Open")).total(), 0);
        call(&who("Opener", &auth), "").await.unwrap_err();
    }
    let auth = auth(&AuthConfig::default().with_public("Open").with_public("Opne"));
    who("Open", &auth);
    assert_eq!(auth.unknown_methods(), ["Opne"]);
}

#[tokio::test]
async fn a_stream_is_checked_before_it_begins() {
    let auth = auth(&AuthConfig::default());
    let method = Method::from(MethodInfo::new("demo.Demo", "Talk", MethodKind::BidiStreaming));
    let talk = Endpoint::from_fn(method, |cx: Context, _: Streaming<String>| async move {
        let identity = cx.extension::<Identity>().map(|identity| identity.subject().to_owned());
        Ok(Streaming::from_iter(identity))
    })
    .with(&auth);
    let call = |key: &str| {
        let mut cx = Context::background();
        cx.metadata_mut().insert("x-key", key).unwrap();
        talk.call(Request::new(cx, Streaming::from_iter(["a".to_owned()])))
    };
    assert_eq!(call("bad").await.unwrap_err().code(), Code::Unauthenticated);
    let mut answer = call("k-ann").await.unwrap().into_message();
    assert_eq!(answer.message().await.unwrap().as_deref(), Some("k-ann"));
}

#[tokio::test]
async fn the_realm_is_told() {
    let auth = auth(&AuthConfig { realm: "the books".to_owned(), ..AuthConfig::default() });
    let say = who("Say", &auth);
    for (key, challenge) in
        [("", "Bearer realm=\"the books\""), ("bad", "Bearer realm=\"the books\", error=\"invalid_token\"")]
    {
        assert_eq!(call(&say, key).await.unwrap_err().metadata().get("www-authenticate"), Some(challenge));
    }
    Auth::new(Keys, &AuthConfig { realm: "a\"b".to_owned(), ..AuthConfig::default() }).unwrap_err();
}

#[tokio::test]
async fn the_layer_tells_of_itself_without_secrets_and_is_not_changed() {
    let auth = auth(&AuthConfig::default());
    let say = who("Say", &auth);
    call(&say, "old").await.unwrap_err();
    call(&say, "down").await.unwrap_err();
    let info = &say.layers()[0];
    assert_eq!(info.settings(), json!({ "public": false, "realm": "", "authenticator": { "keys": 3 } }));
    assert_eq!(info.state().unwrap(), json!({ "rejected": { "expired": 1, "error": 1 } }));
    assert_eq!(info.change(&json!({ "public": true })).unwrap_err().code(), Code::FailedPrecondition);
    assert!(AuthLayer::none().info().is_none());
}

#[tokio::test]
async fn without_auth_nothing_is_asked() {
    let say = Endpoint::from_fn(method("Say"), |_, text: String| async move { Ok(text) });
    let say = say.wrap(None, |inner| tower::Layer::layer(&AuthLayer::none(), inner));
    assert_eq!(call(&say, "").await.unwrap(), "");
}

#[test]
fn an_identity_shows_who_it_is_and_not_what_is_said_of_it() {
    let claims = json!({ "email": "ann@example.com" }).as_object().unwrap().clone();
    let ann = Identity::new("ann").with_claims(claims).with_extension(7_u32);
    let bob = ann.clone().with_scopes(["read"]).with_issuer("us");
    assert!(ann.scopes().is_empty() && bob.has_scope("read") && !bob.has_scope("rea"));
    assert_eq!((bob.extension::<u32>(), bob.extension::<u64>(), bob.issuer()), (Some(&7), None, Some("us")));
    let text = format!("{ann:?}");
    assert!(text.contains("ann") && text.contains("email") && !text.contains("example.com"), "{text}");
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn what_was_refused_is_told_by_method_and_reason() {
    use crate::telemetry::metrics::{Format, Metrics, Side};
    let metrics = Metrics::new();
    let auth = auth(&AuthConfig::default());
    let (say, other) = (who("Say", &auth), who("Other", &auth));
    for name in ["Say", "Other"] {
        auth.observe(&metrics, &method(name), Side::Server).unwrap();
    }
    call(&say, "old").await.unwrap_err();
    call(&say, "old").await.unwrap_err();
    call(&other, "down").await.unwrap_err();
    let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    for (name, reason, count) in
        [("Say", "expired", 2), ("Say", "error", 0), ("Other", "error", 1), ("Other", "expired", 0)]
    {
        let line = format!(
            r#"kit_auth_rejected_total{{reason="{reason}",rpc_method="{name}",rpc_service="demo.Demo",side="server"}} {count}"#
        );
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
