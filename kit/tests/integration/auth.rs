//! Who calls and what they may do, over real sockets.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http_body_util::BodyExt as _;
use kit::{
    Code, Context, Error,
    client::Channel,
    layer::{
        auth::{
            Auth, AuthConfig, Failure, Identity,
            jwt::{Algorithm, Jwt, JwtConfig, KeySet},
        },
        authorize::{Authorize, AuthorizeConfig, MethodRule},
    },
    transport::http::{Body, HttpConfig, HttpTransport},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt as _;

use crate::{
    chat::proto::chat::{CHAT_SAY, Chat, ChatClient, ChatEndpoints, CountRequest},
    minter::{AUDIENCE, ISSUER, Minter, claims, compact, with},
    support::{Answer, Log, Running, line, request, room, saying, soon},
};

const NOW: u64 = 1_800_000_000;

fn config() -> JwtConfig {
    // Secrets are taken too: a public key that is taken for one would be found out.
    let mut config = JwtConfig::from_source("", [ISSUER], [AUDIENCE]);
    config.algorithms.push(Algorithm::Hs256);
    config
}

fn jwt() -> Jwt {
    let keys = KeySet::from_json(Minter::new().public_jwks()).unwrap();
    Jwt::with_keys(&config(), keys).unwrap().with_clock(|| UNIX_EPOCH + Duration::from_secs(NOW))
}

fn auth() -> Auth {
    Auth::new(jwt(), &AuthConfig { realm: "chat".to_owned(), ..AuthConfig::default() }).unwrap()
}

/// `Say` answers with the name of the caller.
fn naming() -> ChatEndpoints {
    saying(|cx, _| async move {
        let identity = cx.extension::<Identity>().ok_or_else(|| Error::internal("nobody"))?;
        Ok(line(identity.subject()))
    })
}

async fn say(server: &Running, token: Option<&str>) -> Answer {
    let header = token.map(|token| format!("authorization: Bearer {token}"));
    let headers: Vec<&str> = header.as_deref().into_iter().chain(["content-type: application/json"]).collect();
    request(server.http, "POST", "/v1/say", &headers, br#"{"text":"a"}"#).await
}

fn client(server: &Running) -> ChatClient {
    ChatClient::new(&Channel::new(&server.grpc_url()).unwrap())
}

fn cx(token: &str) -> Context {
    Context::background().with_outgoing("authorization", &format!("Bearer {token}")).unwrap()
}

/// Tokens that must not be taken, and why.
fn bad() -> Vec<(&'static str, String, Failure)> {
    let minter = Minter::new();
    let header = json!({ "alg": "EdDSA", "kid": "ed" });
    let mut bad = vec![
        ("expired", minter.ed(&header, &with(claims(NOW), "exp", json!(NOW - 61))), Failure::Expired),
        ("not yet", minter.ed(&header, &with(claims(NOW), "nbf", json!(NOW + 61))), Failure::NotYetValid),
        ("audience", minter.ed(&header, &with(claims(NOW), "aud", json!("films"))), Failure::Audience),
        ("issuer", minter.ed(&header, &with(claims(NOW), "iss", json!("https://other"))), Failure::Issuer),
        ("wrong key", Minter::stranger(&header, &claims(NOW)), Failure::Signature),
        ("no such key", Minter::stranger(&json!({ "alg": "EdDSA", "kid": "x" }), &claims(NOW)), Failure::UnknownKey),
        ("none", compact(&json!({ "alg": "none" }), &claims(NOW), |_| Vec::new()), Failure::Algorithm),
        ("garbage", "a.b.c".to_owned(), Failure::Malformed),
        ("10 KB", "a".repeat(10_000), Failure::TooLarge),
    ];
    for secret in minter.public_bytes() {
        let token = Minter::hmac(&json!({ "alg": "HS256", "kid": "rsa" }), &claims(NOW), &secret);
        bad.push(("a public key as a secret", token, Failure::UnknownKey));
    }
    bad
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_a_caller_is_known_by_its_token_and_nobody_else_comes_in() {
    let (auth, log) = (auth(), Log::start());
    let server = Running::serve(&naming().with(&kit::middleware::StandardStack::default()).with(&auth)).await;
    let good = Minter::new().good(NOW);
    let answer = say(&server, Some(&good)).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "text": "ann" })));

    let missing = say(&server, None).await;
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer realm=\"chat\"")));
    let body = missing.json();
    assert_eq!(
        (&body["code"], &body["message"]),
        (&json!(16), &json!("the call needs a token: send it as authorization"))
    );
    assert_eq!(body["details"][0]["reason"], "UNAUTHENTICATED");

    for (what, token, why) in bad() {
        let before = auth.figures(&CHAT_SAY).rejected(why);
        let answer = say(&server, Some(&token)).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        assert_eq!(challenge.contains("expired"), what == "expired", "{what}: {challenge}");
        let message = if what == "expired" { "the token has expired" } else { "the token is not valid" };
        assert_eq!(answer.json()["message"], message, "{what}");
        assert_eq!(auth.figures(&CHAT_SAY).rejected(why), before + 1, "{what}");
        // Nothing of the token is anywhere.
        let lines = log.of(answer.header("x-request-id").unwrap()).iter().map(Value::to_string).collect::<String>();
        for part in token.split('.').filter(|part| part.len() > 20) {
            assert!(!answer.text().contains(part) && !lines.contains(part), "{what}");
        }
    }
    assert_eq!(say(&server, Some(&good)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_grpc_it_is_the_same() {
    let server = Running::serve(&naming().with(&auth())).await;
    let (client, good) = (client(&server), Minter::new().good(NOW));
    assert_eq!(client.say(&cx(&good), line("a")).await.unwrap().text, "ann");
    let missing = client.say(&Context::background(), line("a")).await.unwrap_err();
    assert_eq!(missing.code(), Code::Unauthenticated);
    assert_eq!(missing.received_metadata().get("www-authenticate"), Some("Bearer realm=\"chat\""));
    for (what, token, _) in bad() {
        let error = client.say(&cx(&token), line("a")).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (Code::Unauthenticated, false), "{what}: {error}");
        assert_eq!(error.reason().unwrap().reason, "UNAUTHENTICATED", "{what}");
    }
    // A stream is refused before it begins.
    let refused = match client.count(&Context::background(), CountRequest { to: 3 }).await {
        Ok(mut numbers) => numbers.message().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut numbers = client.count(&cx(&good), CountRequest { to: 1 }).await.unwrap();
    assert!(numbers.message().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_megabyte_in_authorization_comes_nowhere_and_stops_nothing() {
    let server = Running::serve(&naming().with(&auth())).await;
    let garbage = "A".repeat(1_000_000);
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let head =
        format!("POST /v1/say HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nauthorization: Bearer {garbage}\r\n\r\n");
    // The server closes before it has all of it.
    let _ = soon(stream.write_all(head.as_bytes())).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 401"), "{answer}");

    soon(client(&server).say(&cx(&garbage), line("a"))).await.unwrap_err();
    let good = Minter::new().good(NOW);
    assert_eq!(say(&server, Some(&good)).await.status, 200);
    assert_eq!(client(&server).say(&cx(&good), line("a")).await.unwrap().text, "ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_does_what_it_may_and_no_more() {
    let rules = AuthorizeConfig::default()
        .with_method("Say", MethodRule::scopes(["books.read"]))
        .with_method("Count", MethodRule::scopes(["books.read", "books.count"]))
        .with_method("Talk", MethodRule::public());
    let authorize = Authorize::new(&rules).unwrap();
    let auth = Auth::new(jwt(), &AuthConfig::default().with_public("Talk")).unwrap();
    let server = Running::serve(&room().with(&authorize).with(&auth)).await;
    let good = Minter::new().good(NOW);
    assert_eq!(say(&server, Some(&good)).await.status, 200);
    assert_eq!(say(&server, None).await.status, 401);

    let header = format!("authorization: Bearer {good}");
    let denied = request(server.http, "GET", "/v1/count/3", &[&header], b"").await;
    assert_eq!((denied.status, denied.header("www-authenticate")), (403, None));
    let body = denied.json();
    assert_eq!((&body["code"], &body["message"]), (&json!(7), &json!("you may not call this method")));
    assert_eq!(body["details"][0]["reason"], "PERMISSION_DENIED");
    assert!(!denied.text().contains("books.count"), "what is missing is for the log");

    // Without a rule nobody may: a method that was forgotten.
    let dictated = client(&server).dictate(&cx(&good), kit::Streaming::from_iter([line("a")])).await.unwrap_err();
    assert_eq!((dictated.code(), dictated.message()), (Code::PermissionDenied, "you may not call this method"));
    // A public one needs nobody.
    let mut talk = client(&server).talk(&Context::background(), kit::Streaming::from_iter([line("a")])).await.unwrap();
    assert!(talk.message().await.unwrap().is_some());
}

/// A source of keys that answers what it is told to.
async fn issuer(answer: Arc<Mutex<(u16, String)>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            assert!(asked.starts_with(b"GET /keys HTTP/1.1\r\n"));
            let (status, body) = answer.lock().unwrap().clone();
            let length = body.len();
            let head = format!("HTTP/1.1 {status} A\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}/keys")
}

/// Lets time go by at once. The clock stands still only in between, so that sockets are waited for.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_come_over_http_and_hold_while_their_source_is_away() {
    let minter = Minter::new();
    let answer = Arc::new(Mutex::new((503, String::new())));
    let config = JwtConfig { keys: issuer(Arc::clone(&answer)).await, ..config() };
    let jwt = Jwt::new(&config).unwrap().with_clock(|| UNIX_EPOCH + Duration::from_secs(NOW));
    let good = minter.good(NOW);
    // The service runs before whoever issues its tokens does.
    assert_eq!(jwt.verify(&good).await.unwrap_err().code(), Code::Unavailable);
    *answer.lock().unwrap() = (200, minter.public_jwks());
    assert_eq!(jwt.verify(&good).await.unwrap_err().code(), Code::Unavailable, "it is not asked again at once");
    pass(Duration::from_secs(10)).await;
    assert_eq!(jwt.verify(&good).await.unwrap().subject(), "ann");

    for (status, text) in [(503, minter.public_jwks()), (200, "<html>".to_owned()), (302, String::new())] {
        *answer.lock().unwrap() = (status, text);
        pass(Duration::from_secs(3600)).await;
        jwt.verify(&good).await.unwrap();
    }
    // A set that has lost the key: for tokens, too.
    let mut jwks: Value = serde_json::from_str(&minter.public_jwks()).unwrap();
    jwks["keys"].as_array_mut().unwrap().retain(|key| key["kid"] == "rsa");
    *answer.lock().unwrap() = (200, jwks.to_string());
    pass(Duration::from_secs(3600)).await;
    assert_eq!(jwt.verify(&good).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn tokens_hold_by_the_clock_of_the_system_unless_there_is_another() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let minter = Minter::new();
    let jwt = Jwt::with_keys(&config(), KeySet::from_json(minter.jwks()).unwrap()).unwrap();
    jwt.verify(&minter.good(now)).await.unwrap();
    jwt.verify(&minter.good(now - 3600 - 120)).await.unwrap_err();
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_authorization_holds_it_is_401(value in proptest::collection::vec(any::<u8>(), 0..200), bearer in any::<bool>()) {
        let value = if bearer { [&b"Bearer "[..], &value].concat() } else { value };
        // What is no header value never comes through hyper.
        let Ok(value) = axum::http::HeaderValue::from_bytes(&value) else { return Ok(()) };
        let status = run(async {
            let service = HttpTransport::new(HttpConfig::default()).service(&naming().with(&auth())).build().unwrap();
            let request = axum::http::Request::post("/v1/say").header("content-type", "application/json");
            let request = request.header("authorization", value).body(Body::from(r#"{"text":"a"}"#)).unwrap();
            let answer = service.oneshot(request).await.unwrap();
            let status = answer.status().as_u16();
            answer.into_body().collect().await.unwrap();
            status
        });
        prop_assert_eq!(status, 401);
    }
}
