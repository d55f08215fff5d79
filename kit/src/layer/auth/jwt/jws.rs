//! The compact form of signed tokens: RFC 7515.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Algorithm, Failure, Refused};

/// A token in its parts, of which nothing has been checked.
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// What the signature is of.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    // Extensions that must be understood: none is.
    crit: Option<Value>,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Refused> {
        let malformed = |log| Refused::new(Failure::Malformed, log);
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| malformed("the token has no parts"))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| malformed("the token has two parts"))?;
        if payload.contains('.') {
            return Err(malformed("the token has more than three parts"));
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("the header is not base64url"))?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| malformed("the header can't be read"))?;
        // The algorithm before the signature: `none` has no signature, and is refused for what it is.
        let Some(algorithm) = Algorithm::of(&header.alg) else {
            let log = format!("the algorithm {:?} is not known", crate::json::scalar::shorten(&header.alg));
            return Err(Refused::new(Failure::Algorithm, log));
        };
        if header.crit.is_some() {
            return Err(malformed("the header demands extensions (crit)"));
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed("the signature is not base64url"))?;
        Ok(Self { algorithm, kid: header.kid, signed: signed.as_bytes(), signature, payload })
    }

    /// What the token says. Not to be read before the signature was found to be right.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, Refused> {
        let malformed = |log| Refused::new(Failure::Malformed, log);
        let payload = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| malformed("the claims are not base64url"))?;
        serde_json::from_slice(&payload).map_err(|_| malformed("the claims are no JSON object"))
    }
}
