use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::advance;

use super::{
    minter::{AUDIENCE, ISSUER, Minter, claims, compact, with},
    *,
};
use crate::{Code, Context, Error, layer::auth::Authenticate as _};

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn config() -> JwtConfig {
    JwtConfig::from_source("", [ISSUER], [AUDIENCE])
}

/// Takes secrets too, where a test does not say otherwise: what is refused is refused all the same.
fn all() -> JwtConfig {
    let mut config = config();
    config.algorithms.push(Algorithm::Hs256);
    config
}

fn jwt(config: &JwtConfig) -> Jwt {
    Jwt::with_keys(config, KeySet::from_json(Minter::new().jwks()).unwrap()).unwrap().with_clock(|| at(NOW))
}

fn failure(error: &Error) -> Failure {
    Failure::of(error)
}

async fn refused(jwt: &Jwt, token: &str) -> Failure {
    let error = jwt.verify(token).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated, "{error:?}");
    failure(&error)
}

#[tokio::test]
async fn tokens_that_another_implementation_signed_are_taken() {
    let minter = Minter::new();
    let jwt = jwt(&all());
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA", "HS256"] {
        let token = minter.fixture["tokens"][algorithm].as_str().unwrap();
        let ann = jwt.verify(token).await.unwrap_or_else(|e| panic!("{algorithm}: {e:?}"));
        assert_eq!((ann.subject(), ann.issuer()), ("ann", Some(ISSUER)));
        assert_eq!(
            (ann.scopes(), ann.roles()),
            (&["books.read".into(), "books.write".into()][..], &["editor".into()][..])
        );
        assert_eq!(ann.claim("aud"), Some(&json!(["books", "other"])));
        // Each part matters: another letter in any of them, and it is no token.
        for at in [3, token.len() / 2, token.len() - 8] {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = token.to_owned();
            changed.replace_range(at..=at, other);
            jwt.verify(&changed).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn the_type_of_the_key_decides_about_the_algorithm() {
    let (minter, jwt) = (Minter::new(), jwt(&all()));
    // The public key as a secret, under the name of the key and without one.
    for secret in minter.public_bytes() {
        for header in [json!({"alg": "HS256", "kid": "rsa"}), json!({"alg": "HS256"})] {
            let token = Minter::hmac(&header, &claims(NOW), &secret);
            assert!(matches!(refused(&jwt, &token).await, Failure::UnknownKey | Failure::Signature));
        }
    }
    let token = minter.rsa(&json!({"alg": "RS256", "kid": "ed"}), &claims(NOW));
    assert_eq!(refused(&jwt, &token).await, Failure::UnknownKey);
    let token = minter.rsa(&json!({"alg": "PS256", "kid": "rsa"}), &claims(NOW));
    assert_eq!(refused(&jwt, &token).await, Failure::Signature);
    // One that is for another algorithm by its `alg`.
    let mut jwks = minter.fixture["jwks"].clone();
    jwks["keys"][0]["alg"] = "PS256".into();
    jwt.replace_keys(KeySet::from_json(jwks.to_string()).unwrap());
    let token = minter.rsa(&json!({"alg": "RS256", "kid": "rsa"}), &claims(NOW));
    assert_eq!(refused(&jwt, &token).await, Failure::UnknownKey);
}

#[tokio::test]
async fn algorithms_that_are_not_named_are_not_taken_and_none_never_is() {
    let (minter, jwt) = (Minter::new(), jwt(&config()));
    let token = minter.fixture["tokens"]["HS256"].as_str().unwrap();
    assert_eq!(refused(&jwt, token).await, Failure::Algorithm);
    for alg in ["none", "None", "NONE", "nOnE", "", "RS512", "HS256 ", "rs256"] {
        for sign in [Vec::new(), vec![0; 64]] {
            let token = compact(&json!({ "alg": alg, "kid": "ed" }), &claims(NOW), |_| sign);
            assert_eq!(refused(&jwt, &token).await, Failure::Algorithm, "{alg}");
        }
    }
    let only = JwtConfig { algorithms: vec![Algorithm::Es256], ..config() };
    let keys = KeySet::from_json(minter.jwks()).unwrap();
    let only = Jwt::with_keys(&only, keys).unwrap().with_clock(|| at(NOW));
    assert_eq!(refused(&only, &minter.good(NOW)).await, Failure::Algorithm);
}

#[tokio::test]
async fn a_token_must_say_when_it_ends_whom_it_is_from_and_whom_for() {
    let (minter, jwt) = (Minter::new(), jwt(&config()));
    let header = json!({ "alg": "EdDSA", "kid": "ed" });
    for (name, value, expected) in [
        ("exp", json!(NOW - 59), None),
        ("exp", json!(NOW - 60), Some(Failure::Expired)),
        ("exp", json!(NOW as f64 + 0.5), None),
        ("exp", json!(0), Some(Failure::Expired)),
        ("exp", json!(-1e300), Some(Failure::Expired)),
        ("exp", json!(1e300), None),
        ("exp", json!("1900000000"), Some(Failure::Malformed)),
        ("exp", Value::Null, Some(Failure::Malformed)),
        ("nbf", json!(NOW + 60), None),
        ("nbf", json!(NOW + 61), Some(Failure::NotYetValid)),
        ("nbf", json!({}), Some(Failure::Malformed)),
        ("nbf", Value::Null, None),
        ("iss", json!("https://issuer.test/"), Some(Failure::Issuer)),
        ("iss", json!(["https://issuer.test"]), Some(Failure::Issuer)),
        ("iss", Value::Null, Some(Failure::Issuer)),
        ("aud", json!("book"), Some(Failure::Audience)),
        ("aud", json!(["a", "books"]), None),
        ("aud", json!(["a", 1, null]), Some(Failure::Audience)),
        ("aud", Value::Null, Some(Failure::Audience)),
        ("sub", json!(""), Some(Failure::Malformed)),
        ("sub", Value::Null, Some(Failure::Malformed)),
    ] {
        let token = minter.ed(&header, &with(claims(NOW), name, value.clone()));
        let found = jwt.verify(&token).await.err().as_ref().map(failure);
        assert_eq!(found, expected, "{name} {value}");
    }
    let program = with(with(claims(NOW), "sub", Value::Null), "client_id", json!("reports"));
    assert_eq!(jwt.verify(&minter.ed(&header, &program)).await.unwrap().subject(), "reports");

    let any = JwtConfig::from_source("", ["*"], ["*"]);
    let any = Jwt::with_keys(&any, KeySet::from_json(minter.jwks()).unwrap()).unwrap().with_clock(|| at(NOW));
    let bare = minter.ed(&header, &json!({ "sub": "ann", "exp": NOW + 1 }));
    assert_eq!(any.verify(&bare).await.unwrap().issuer(), None);
}

#[tokio::test]
async fn a_wrong_signature_is_told_before_anything_that_it_signs() {
    let (minter, jwt) = (Minter::new(), jwt(&config()));
    let old = with(claims(NOW), "exp", json!(1));
    assert_eq!(refused(&jwt, &Minter::stranger(&json!({"alg": "EdDSA", "kid": "ed"}), &old)).await, Failure::Signature);
    assert_eq!(
        refused(&jwt, &Minter::stranger(&json!({"alg": "EdDSA", "kid": "xx"}), &old)).await,
        Failure::UnknownKey
    );
    assert_eq!(refused(&jwt, &minter.ed(&json!({"alg": "EdDSA", "kid": "ed"}), &old)).await, Failure::Expired);
}

#[tokio::test]
async fn a_token_or_a_key_without_a_name_is_found_by_what_it_is() {
    let (minter, jwt) = (Minter::new(), jwt(&config()));
    jwt.verify(&minter.ed(&json!({ "alg": "EdDSA" }), &claims(NOW))).await.unwrap();
    let mut jwks = minter.fixture["jwks"].clone();
    for key in jwks["keys"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("kid");
    }
    jwt.replace_keys(KeySet::from_json(jwks.to_string()).unwrap());
    jwt.verify(&minter.good(NOW)).await.unwrap();
}

#[tokio::test]
async fn what_is_no_token_is_malformed() {
    let (minter, jwt) = (Minter::new(), jwt(&config()));
    let good = minter.good(NOW);
    let parts: Vec<_> = good.split('.').collect();
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "....".to_owned(),
        parts[..2].join("."),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{}", parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        good.replace('.', " . "),
        format!("{good}=="),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        minter.ed(&json!(["alg"]), &claims(NOW)),
        minter.ed(&json!({ "kid": "ed" }), &claims(NOW)),
        minter.ed(&json!({ "alg": 1 }), &claims(NOW)),
        minter.ed(&json!({ "alg": "EdDSA", "kid": 1 }), &claims(NOW)),
        minter.ed(&json!({ "alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false }), &claims(NOW)),
        minter.ed(&json!({ "alg": "EdDSA", "kid": "ed" }), &json!("claims")),
        minter.ed(&json!({ "alg": "EdDSA", "kid": "ed" }), &json!([1])),
    ] {
        let why = refused(&jwt, &token).await;
        // One without a signature has one of no bytes.
        assert!(matches!(why, Failure::Malformed | Failure::Signature), "{token}: {why}");
    }
}

fn sent(value: impl AsRef<[u8]>) -> Option<Context> {
    let value = http::HeaderValue::from_bytes(value.as_ref()).ok()?;
    let mut cx = Context::background();
    cx.metadata_mut().set(http::header::AUTHORIZATION, value);
    Some(cx)
}

#[tokio::test]
async fn the_token_is_what_authorization_has_behind_bearer() {
    let (good, jwt) = (Minter::new().good(NOW), jwt(&config()));
    for scheme in ["Bearer ", "bearer ", "BEARER ", "Bearer   "] {
        jwt.authenticate(&sent(format!("{scheme}{good}")).unwrap()).await.unwrap();
    }
    for (value, expected) in [
        (good.clone(), Failure::Missing),
        (format!("Basic {good}"), Failure::Missing),
        (format!("Bearer{good}"), Failure::Missing),
        ("Bear".to_owned(), Failure::Missing),
        ("Bearer".to_owned(), Failure::Malformed),
        ("Bearer  ".to_owned(), Failure::Malformed),
        (format!("Bearer {good} {good}"), Failure::Malformed),
        (format!("Bearer {}", "a".repeat(8193)), Failure::TooLarge),
        (format!("Bearer {}", "a".repeat(1_000_000)), Failure::TooLarge),
    ] {
        let error = jwt.authenticate(&sent(&value).unwrap()).await.unwrap_err();
        assert_eq!(failure(&error), expected, "{}", &value[..value.len().min(40)]);
    }
    let mut two = sent(format!("Bearer {good}")).unwrap();
    two.metadata_mut().append("authorization", &format!("Bearer {good}")).unwrap();
    assert_eq!(failure(&jwt.authenticate(&two).await.unwrap_err()), Failure::Malformed);
    assert_eq!(failure(&jwt.authenticate(&Context::background()).await.unwrap_err()), Failure::Missing);
}

#[tokio::test]
async fn no_error_and_no_debug_form_has_the_token_or_a_key() {
    let (minter, jwt) = (Minter::new(), jwt(&all()));
    let header = json!({ "alg": "EdDSA", "kid": "ed" });
    let mut texts = vec![format!("{jwt:?} {:?} {:#?}", jwt.keys(), jwt.describe())];
    let tokens = [
        minter.ed(&header, &with(claims(NOW), "exp", json!(1))),
        minter.ed(&header, &with(claims(NOW), "aud", json!("s3cret"))),
        Minter::stranger(&header, &claims(NOW)),
        format!("{}.x", minter.good(NOW)),
        "s3cret".to_owned(),
        format!("Bearer {}", "s3cret".repeat(2000)),
    ];
    for token in &tokens {
        let error = jwt.verify(token).await.unwrap_err();
        texts.push(format!("{error} {error:?} {error:#?} {}", error.to_log()));
    }
    let ann = jwt.verify(&minter.good(NOW)).await.unwrap();
    texts.push(format!("{ann:?}"));
    let keys: Vec<String> = minter.fixture["jwks"]["keys"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|key| ["n", "x", "y", "k"].into_iter().filter_map(|name| key[name].as_str().map(str::to_owned)))
        .collect();
    for text in texts {
        assert!(!text.contains("s3cret"), "{text}");
        for part in tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 20) {
            assert!(!text.contains(part), "{text}");
        }
        assert!(keys.iter().all(|key| !text.contains(key)), "{text}");
    }
}

#[test]
fn a_set_leaves_out_what_it_can_not_use_and_says_so() {
    let minter = Minter::new();
    let mut keys = minter.fixture["jwks"]["keys"].as_array().unwrap().clone();
    keys.extend([
        minter.fixture["small_rsa"].clone(),
        json!({"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "sign", "key_ops": ["sign"], "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-521", "x": "AQAB", "y": "AQAB"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"}),
        json!({"kty": "oct", "k": "c2hvcnQ"}),
        json!({"kty": "oct", "alg": "RS256", "k": keys[3]["k"]}),
        json!({"kty": "new"}),
        json!("key"),
    ]);
    let set = KeySet::from_json(json!({ "keys": keys }).to_string()).unwrap();
    assert_eq!(set.kids().collect::<Vec<_>>(), ["rsa", "p256", "ed", "secret"]);
    let why = set.left_out();
    for (at, text) in [
        "1024 bits",
        "not for signatures",
        "not for verifying",
        "\"EC\" P-521",
        "its x has 3 bytes",
        "5 bytes",
        "for RS256",
        "\"new\"",
        "can't be read",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(why[at].contains(text), "{at} {why:?}");
    }
    for wrong in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"new"}]}"#, r#"{"keys":"secret-k"}"#] {
        let error = KeySet::from_json(wrong).unwrap_err();
        assert!(error.code() == Code::InvalidArgument && !format!("{error:?}").contains("secret-k"), "{wrong}");
    }
    let many: Vec<_> = (0..101).map(|_| keys[2].clone()).collect();
    KeySet::from_json(json!({ "keys": many }).to_string()).unwrap_err();
}

/// A file of keys that is written anew, with another date each time.
struct File(tempfile::TempDir, std::cell::Cell<u64>);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), std::cell::Cell::new(NOW))
    }

    fn path(&self) -> String {
        self.0.path().join("keys.json").to_str().unwrap().to_owned()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
        self.1.set(self.1.get() + 1);
        let file = std::fs::File::options().write(true).open(self.path()).unwrap();
        file.set_modified(at(self.1.get())).unwrap();
    }
}

fn only(minter: &Minter, kid: &str) -> String {
    let mut jwks = minter.fixture["jwks"].clone();
    jwks["keys"].as_array_mut().unwrap().retain(|key| key["kid"] == kid);
    jwks.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let (minter, file) = (Minter::new(), File::new());
    let config = JwtConfig { keys: file.path(), ..config() };
    let error = Jwt::new(&config).unwrap_err();
    assert!(error.message().starts_with("auth.jwt.keys "), "{error}");
    file.write("no keys");
    Jwt::new(&config).unwrap_err();
    file.write(&only(&minter, "rsa"));
    let jwt = Jwt::new(&config).unwrap().with_clock(|| at(NOW));
    let token = minter.good(NOW);
    assert_eq!(refused(&jwt, &token).await, Failure::UnknownKey);

    // A new key: found by the first token that names it, once strangers may have the file looked at again.
    file.write(&only(&minter, "ed"));
    assert_eq!(refused(&jwt, &token).await, Failure::UnknownKey);
    advance(Duration::from_secs(10)).await;
    jwt.verify(&token).await.unwrap();

    // What can't be used changes nothing.
    for broken in ["", "{", r#"{"keys":[]}"#] {
        file.write(broken);
        advance(Duration::from_secs(21)).await;
        jwt.verify(&token).await.unwrap();
    }
    std::fs::remove_file(file.path()).unwrap();
    advance(Duration::from_secs(21)).await;
    jwt.verify(&token).await.unwrap();
    assert_eq!(jwt.describe()["keys"]["away"], true);

    // A key that was taken out is gone for the first call after a pause, too.
    file.write(&only(&minter, "rsa"));
    advance(Duration::from_secs(3600)).await;
    assert_eq!(refused(&jwt, &token).await, Failure::UnknownKey);
    assert_eq!(jwt.describe()["keys"]["away"], false);
}

#[tokio::test]
async fn keys_come_from_one_place_and_must_be_of_use() {
    let (minter, file) = (Minter::new(), File::new());
    file.write(&only(&minter, "secret"));
    let here = JwtConfig { keys: file.path(), ..config() };
    assert!(Jwt::new(&here).unwrap_err().message().contains("none of the keys"));
    assert!(Jwt::new(&config()).is_err());
    assert!(Jwt::with_keys(&here, KeySet::from_json(minter.jwks()).unwrap()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_in_authorization_make_a_panic(value in proptest::collection::vec(any::<u8>(), 0..300), bearer in any::<bool>()) {
        let jwt = jwt(&all());
        let value = if bearer { [&b"Bearer "[..], &value].concat() } else { value };
        // What is no header value never comes through a transport.
        if let Some(cx) = sent(value) {
            let error = futures_util::FutureExt::now_or_never(jwt.authenticate(&cx)).unwrap().unwrap_err();
            prop_assert_eq!(error.code(), Code::Unauthenticated);
        }
    }

    #[test]
    fn no_text_that_looks_like_a_token_makes_a_panic(
        header in "\\PC{0,40}", claims in "\\PC{0,40}", alg in "(EdDSA|RS256|PS256|ES256|HS256)",
        kid in "(ed|rsa|p256|secret|x)", signature in proptest::collection::vec(any::<u8>(), 0..100), plain in any::<bool>(),
    ) {
        let jwt = jwt(&all());
        let header: Value = if plain { Value::String(header) } else { json!({ "alg": alg, "kid": kid }) };
        let token = compact(&header, &Value::String(claims), |_| signature);
        let cx = sent(format!("Bearer {token}")).unwrap();
        let error = futures_util::FutureExt::now_or_never(jwt.authenticate(&cx)).unwrap().unwrap_err();
        prop_assert_eq!(error.code(), Code::Unauthenticated);
    }

    #[test]
    fn no_claims_make_a_panic(claims in json_value()) {
        let (minter, jwt) = (Minter::new(), jwt(&config()));
        let token = minter.ed(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims);
        let _ = futures_util::FutureExt::now_or_never(jwt.verify(&token)).unwrap();
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        Just(Value::Null),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        "\\PC{0,8}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..3).prop_map(|bytes| json!(bytes)),
    ];
    let names = proptest::sample::select(vec!["iss", "aud", "exp", "nbf", "sub", "scope", "roles"]);
    let more = proptest::collection::btree_map(names, one, 0..5);
    more.prop_map(|more| more.into_iter().fold(claims(NOW), |claims, (name, value)| with(claims, name, value)))
}
