//! Callers known by signed tokens: bearer tokens (RFC 6750) that are JWT (RFC 7519), signed by a key of a set (JWKS, RFC 7517).
//!
//! | checked | how |
//! |---|---|
//! | size | at most [`JwtConfig::max_token_size`], before anything else is looked at |
//! | algorithm | one of [`JwtConfig::algorithms`]. The type of the key decides which it can have, so that no token can have a public key taken for a secret; there is no `none` |
//! | key | that of the `kid`; without one every key that the algorithm fits, at most four |
//! | signature | by `ring`, the library that TLS uses here too |
//! | `exp` | must be there, and not be past; `nbf` not be ahead; both by [`JwtConfig::leeway`] |
//! | `iss`, `aud` | one of the issuers and one of the audiences. Both must be set: a key set may sign for others too |
//! | `sub` | must be there, or `client_id`, for tokens of programs |
//!
//! Headers with `crit` are refused, as nothing that they could demand is known here. The type (`typ`) is not looked at.
//!
//! **Keys** come from a file, from an address (features `http`, and `tls` for `https`), or are [given](Jwt::with_keys). A file is looked
//! at each 10 s, an address each 5 min, while there are calls; a token with a `kid` that is not known has it looked at sooner, at
//! most each 10 s, and waits for that. What can't be read or has no key changes nothing: the old keys hold, and the log says so.
//! Keys of kinds that are not known are left out, as the RFC asks.
//!
//! Verified tokens are not remembered: who remembers has to forget them with their key.
//!
//! ```no_run
//! use kit::layer::auth::{Auth, AuthConfig, jwt::{Jwt, JwtConfig}};
//!
//! let config = JwtConfig::from_source("/etc/books/keys.json", ["https://login.example.com"], ["books"]);
//! let auth = Auth::new(Jwt::new(&config)?, &AuthConfig::default().with_public("Detail"))?;
//! # let _ = auth;
//! # Ok::<(), kit::Error>(())
//! ```

mod algorithm;
mod bearer;
mod claims;
mod config;
#[cfg(feature = "http")]
mod fetch;
mod handle;
mod jws;
mod key;
mod key_set;
#[cfg(test)]
mod minter;
mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use algorithm::Algorithm;
pub use config::JwtConfig;
pub use handle::Jwt;
pub use key_set::KeySet;

use super::Failure;

/// Why a token is not taken: what the caller is told goes by the failure, the text is for the log.
#[derive(Debug)]
struct Refused {
    why: Failure,
    log: Cow<'static, str>,
}

impl Refused {
    fn new(why: Failure, log: impl Into<Cow<'static, str>>) -> Self {
        Self { why, log: log.into() }
    }
}

impl From<Refused> for crate::Error {
    fn from(refused: Refused) -> Self {
        Self::from(refused.why).with_log(refused.log)
    }
}
