//! One key, and what it can verify.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, signature};
use serde::Deserialize;

use super::Algorithm;

/// A key as it stands in a set: RFC 7517 and 7518.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// A key that signatures are verified with.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// The only algorithm that it is for, if the set says so.
    only: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Secret(hmac::Key),
}

/// What `ring` verifies with, and the least that RFC 7518 allows.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// As long as what HMAC with SHA-256 gives: RFC 7518, section 3.2.
const LEAST_SECRET: usize = 32;

impl Key {
    /// The key that a set has, or why it is left out.
    pub(super) fn parse(jwk: serde_json::Value) -> Result<Self, String> {
        let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "it can't be read".to_owned())?;
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("it is not for signatures".to_owned());
        }
        if jwk.key_ops.as_ref().is_some_and(|uses| !uses.iter().any(|usage| usage == "verify")) {
            return Err("it is not for verifying".to_owned());
        }
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => rsa(&jwk)?,
            ("EC", Some("P-256")) => {
                let mut point = vec![4];
                point.extend(exactly(32, "x", &jwk.x)?);
                point.extend(exactly(32, "y", &jwk.y)?);
                Material::P256(point)
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(exactly(32, "x", &jwk.x)?),
            ("oct", _) => {
                let secret = bytes("k", &jwk.k)?;
                if secret.len() < LEAST_SECRET {
                    return Err(format!("its secret has {} bytes: {LEAST_SECRET} are the least", secret.len()));
                }
                Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, &secret))
            }
            (kty, crv) => return Err(format!("keys of {kty:?} {} are not known", crv.unwrap_or_default())),
        };
        let only = match jwk.alg.as_deref() {
            None => None,
            Some(name) => Some(Algorithm::of(name).ok_or_else(|| format!("it is for {name:?}"))?),
        };
        let key = Self { kid: jwk.kid, only, material };
        if let Some(only) = only
            && !key.fits(only)
        {
            return Err(format!("it is for {}, which its type can't be", only.name()));
        }
        Ok(key)
    }

    /// Whether it can have signed by an algorithm: its type says so, never the token.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        let by_type = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Material::Secret(_) => algorithm == Algorithm::Hs256,
        };
        by_type && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether it signed this.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], with: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                let by: &signature::RsaParameters = match algorithm {
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                };
                signature::RsaPublicKeyComponents { n, e }.verify(by, signed, with)
            }
            Material::P256(point) => {
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(signed, with)
            }
            Material::Ed25519(key) => signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, with),
            Material::Secret(secret) => hmac::verify(secret, signed, with),
        };
        verified.is_ok()
    }

    /// What it is, without what it is made of.
    pub(super) fn kind(&self) -> &'static str {
        match self.material {
            Material::Rsa { .. } => "RSA",
            Material::P256(_) => "P-256",
            Material::Ed25519(_) => "Ed25519",
            Material::Secret(_) => "secret",
        }
    }
}

fn rsa(jwk: &Jwk) -> Result<Material, String> {
    // Some issuers write leading zeros, which `ring` takes for a mistake.
    let number = |name, text| {
        let mut bytes = bytes(name, text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.drain(..zeros);
        Ok::<_, String>(bytes)
    };
    let (n, e) = (number("n", &jwk.n)?, number("e", &jwk.e)?);
    if !RSA_BYTES.contains(&n.len()) {
        return Err(format!("it has {} bits: 2048 to 8192 are taken", n.len() * 8));
    }
    Ok(Material::Rsa { n, e })
}

fn bytes(name: &str, text: &Option<String>) -> Result<Vec<u8>, String> {
    let text = text.as_deref().ok_or_else(|| format!("it has no {name}"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("its {name} is not base64url"))
}

fn exactly(length: usize, name: &str, text: &Option<String>) -> Result<Vec<u8>, String> {
    let bytes = bytes(name, text)?;
    if bytes.len() != length {
        return Err(format!("its {name} has {} bytes, not {length}", bytes.len()));
    }
    Ok(bytes)
}
