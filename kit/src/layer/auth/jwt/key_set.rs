use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Algorithm, Failure, Refused, jws::Jws, key::Key};
use crate::Error;

/// Issuers have a handful: more are a mistake, and each call looks through them.
const MOST_KEYS: usize = 100;

/// The most keys that are tried for one token: more than one only where tokens or keys have no `kid`.
const MOST_TRIES: usize = 4;

/// The keys that tokens may be signed with: a JWKS. It shows nothing of them but their names and kinds.
///
/// ```
/// use kit::layer::auth::jwt::KeySet;
///
/// let set = KeySet::from_json(r#"{"keys": [
///     {"kty": "OKP", "crv": "Ed25519", "kid": "2026-11", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
/// ]}"#)?;
/// assert_eq!(set.kids().collect::<Vec<_>>(), ["2026-11"]);
/// # Ok::<(), kit::Error>(())
/// ```
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Key>,
    left_out: Vec<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JWKS. Keys that can't be used here are left out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when it is none, or has no key that can be used.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        // Not serde's own text: it may show what it read.
        let jwks: Jwks = serde_json::from_slice(json.as_ref()).map_err(|error| {
            let at = format!("line {}, column {}", error.line(), error.column());
            Error::invalid_argument(format!("this is no JWKS, which is {{\"keys\": [...]}}: {at}"))
        })?;
        if jwks.keys.len() > MOST_KEYS {
            let count = jwks.keys.len();
            return Err(Error::invalid_argument(format!("the key set has {count} keys: {MOST_KEYS} are the most")));
        }
        let mut set = Self::default();
        for (at, jwk) in jwks.keys.into_iter().enumerate() {
            match Key::parse(jwk) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.left_out.push(format!("keys[{at}]: {why}")),
            }
        }
        if set.keys.is_empty() {
            let why = set.left_out.join("; ");
            return Err(Error::invalid_argument(format!("the key set has no key that can be used: {why}")));
        }
        Ok(set)
    }

    /// The names of its keys that have one.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.kid.as_deref())
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Which keys were left out, and why.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether any token can be verified.
    pub(super) fn serves(&self, algorithms: &[Algorithm]) -> bool {
        self.keys.iter().any(|key| algorithms.iter().any(|algorithm| key.fits(*algorithm)))
    }

    /// Whether one of the keys signed a token.
    pub(super) fn verify(&self, token: &Jws<'_>) -> Result<(), Refused> {
        let named = |key: &&Key| match (&token.kid, &key.kid) {
            (Some(wanted), Some(kid)) => wanted == kid,
            // A set of one key, or of keys of different kinds, needs no names.
            (None, _) | (_, None) => true,
        };
        let candidates = self.keys.iter().filter(named).filter(|key| key.fits(token.algorithm));
        let mut tried = 0;
        for key in candidates.take(MOST_TRIES) {
            if key.verifies(token.algorithm, token.signed, &token.signature) {
                return Ok(());
            }
            tried += 1;
        }
        if tried == 0 {
            let kid = token.kid.as_deref().map(crate::json::scalar::shorten);
            let log = format!("there is no key {kid:?} for {}", token.algorithm.name());
            return Err(Refused::new(Failure::UnknownKey, log));
        }
        Err(Refused::new(Failure::Signature, "the signature is not of the key"))
    }

    pub(super) fn to_json(&self) -> Value {
        let keys: Vec<_> = self.keys.iter().map(|key| json!({ "kid": key.kid, "kind": key.kind() })).collect();
        json!({ "keys": keys, "left_out": self.left_out })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(|key| (key.kid.as_deref(), key.kind())).collect();
        f.debug_struct("KeySet").field("keys", &keys).finish_non_exhaustive()
    }
}
