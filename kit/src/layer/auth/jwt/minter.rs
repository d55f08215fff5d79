//! Makes tokens, good ones and others, for tests: here and, by its path, in `tests/integration`.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{hmac, rand::SystemRandom, signature};
use serde_json::{Value, json};

/// Keys, and tokens that another implementation made with them.
pub(crate) struct Minter {
    pub(crate) fixture: Value,
    ed: signature::Ed25519KeyPair,
    rsa: signature::RsaKeyPair,
}

pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const AUDIENCE: &str = "books";

impl Minter {
    pub(crate) fn new() -> Self {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/jwt.json"));
        let fixture: Value = serde_json::from_str(text).unwrap();
        let bytes = |name: &str| STANDARD.decode(fixture[name].as_str().unwrap()).unwrap();
        let ed = signature::Ed25519KeyPair::from_seed_unchecked(&bytes("ed_seed")).unwrap();
        let rsa = signature::RsaKeyPair::from_pkcs8(&bytes("rsa_pkcs8")).unwrap();
        Self { fixture, ed, rsa }
    }

    /// The JWKS: RSA, P-256, Ed25519 and a secret.
    pub(crate) fn jwks(&self) -> String {
        self.fixture["jwks"].to_string()
    }

    /// The JWKS without the secret, as one that is public.
    #[allow(dead_code, reason = "used by one of the two")]
    pub(crate) fn public_jwks(&self) -> String {
        let mut jwks = self.fixture["jwks"].clone();
        jwks["keys"].as_array_mut().unwrap().retain(|key| key["kty"] != "oct");
        jwks.to_string()
    }

    /// A token that anybody takes at `now`, seconds since 1970.
    pub(crate) fn good(&self, now: u64) -> String {
        self.ed(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims(now))
    }

    pub(crate) fn ed(&self, header: &Value, claims: &Value) -> String {
        compact(header, claims, |signed| self.ed.sign(signed).as_ref().to_vec())
    }

    #[allow(dead_code, reason = "used by one of the two")]
    pub(crate) fn rsa(&self, header: &Value, claims: &Value) -> String {
        compact(header, claims, |signed| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            let padding = &signature::RSA_PKCS1_SHA256;
            self.rsa.sign(padding, &SystemRandom::new(), signed, &mut signature).unwrap();
            signature
        })
    }

    /// Signed by a secret: also by one that is none, such as a public key.
    pub(crate) fn hmac(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        compact(header, claims, |signed| hmac::sign(&key, signed).as_ref().to_vec())
    }

    /// Signed by a key that nobody knows.
    pub(crate) fn stranger(header: &Value, claims: &Value) -> String {
        let stranger = signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        compact(header, claims, |signed| stranger.sign(signed).as_ref().to_vec())
    }

    /// All that an attacker who mistakes public keys for secrets would sign with.
    pub(crate) fn public_bytes(&self) -> Vec<Vec<u8>> {
        let rsa = &self.fixture["jwks"]["keys"][0];
        let n = rsa["n"].as_str().unwrap();
        let pem = self.fixture["rsa_public_pem"].as_str().unwrap();
        vec![
            pem.as_bytes().to_vec(),
            pem.trim_end().as_bytes().to_vec(),
            n.as_bytes().to_vec(),
            URL_SAFE_NO_PAD.decode(n).unwrap(),
            rsa.to_string().into_bytes(),
            Vec::new(),
        ]
    }
}

/// Claims that hold for an hour from `now` on.
pub(crate) fn claims(now: u64) -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 3600, "nbf": now, "scope": "books.read" })
}

/// The claims with one of them changed; `null` takes it out.
pub(crate) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    let object = claims.as_object_mut().unwrap();
    object.remove(name);
    if !value.is_null() {
        object.insert(name.to_owned(), value);
    }
    claims
}

pub(crate) fn compact(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
