//! Who calls, by signed tokens: `cargo run -p kit --features jwt --example auth`.
//!
//! It makes a key, starts a server that knows the key's public half, and calls it over gRPC: without a token, with one that may not do
//! enough, and with one that may. Then it ends. In earnest the keys are those of whoever issues the tokens: a file, or an address.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kit::{
    Context, Error,
    client::Channel,
    layer::{
        auth::{
            Auth, AuthConfig, Identity,
            jwt::{Jwt, JwtConfig, KeySet},
        },
        authorize::{Authorize, AuthorizeConfig, MethodRule},
    },
    server::Server,
};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};

mod proto {
    include!("generated/hello/protos.rs");
}
use proto::hello::{Greeter, GreeterClient, GreeterEndpoints, HelloReply, HelloRequest};

struct Polite;

impl Greeter for Polite {
    async fn hello(&self, cx: &Context, request: HelloRequest) -> Result<HelloReply, Error> {
        let caller = cx.extension::<Identity>().map_or("nobody", Identity::subject);
        Ok(HelloReply { text: format!("Hello, {}! {caller} greets you.", request.name) })
    }
}

/// What signs tokens: in earnest somebody else's.
fn mint(key: &Ed25519KeyPair, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "EdDSA", "kid": "example" })), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| "no randomness")?;
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| "no key")?;
    let public = URL_SAFE_NO_PAD.encode(key.public_key());
    let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "example", "x": public }] });

    let tokens = JwtConfig::from_source("", ["https://login.example.com"], ["greeter"]);
    let auth = Auth::new(Jwt::with_keys(&tokens, KeySet::from_json(jwks.to_string())?)?, &AuthConfig::default())?;
    let rules = AuthorizeConfig::default().with_method("Hello", MethodRule::scopes(["greet"]));
    // The last that is put around is asked first: who, then what they may.
    let endpoints = GreeterEndpoints::new(Polite).with(&Authorize::new(&rules)?).with(&auth);
    let server = Server::new().grpc("127.0.0.1:0").service(&endpoints).bind().await?;
    let address = server.grpc_addr().ok_or("no port")?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));

    let client = GreeterClient::new(&Channel::new(&format!("grpc://{address}"))?);
    let in_an_hour = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3600;
    let token = |scope: &str| {
        let claims = json!({
            "iss": "https://login.example.com", "aud": "greeter", "sub": "ann", "exp": in_an_hour, "scope": scope,
        });
        mint(&key, &claims)
    };
    for (what, token) in
        [("without a token", None), ("with one for little", Some(token("look"))), ("with one", Some(token("greet")))]
    {
        let cx = match token {
            Some(token) => Context::background().with_outgoing("authorization", &format!("Bearer {token}"))?,
            None => Context::background(),
        };
        match client.hello(&cx, HelloRequest { name: "world".to_owned() }).await {
            Ok(reply) => println!("{what}: {}", reply.text),
            Err(error) => println!("{what}: {error}"),
        }
    }
    drop(stop);
    serving.await??;
    Ok(())
}
