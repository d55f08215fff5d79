use std::{fmt, sync::Arc, time::SystemTime};

use serde_json::{Value, json};

use super::{Failure, JwtConfig, KeySet, Refused, bearer, claims, jws::Jws, source::Source};
use crate::{
    Context, Error,
    layer::auth::{Authenticate, Identity},
    validate::Validate as _,
};

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Knows callers by their tokens: see the [module](super). Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct Jwt {
    config: Arc<JwtConfig>,
    source: Arc<Source>,
    clock: Clock,
}

impl Jwt {
    /// By keys from where the settings say. A file is read at once; an address is asked with the first call, which waits for it, so
    /// that a service can start before whoever issues its tokens.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be, or says why the file can't be used.
    pub fn new(config: &JwtConfig) -> Result<Self, Error> {
        config.check("auth.jwt")?;
        if config.keys.is_empty() {
            return Err(Error::invalid_argument("auth.jwt.keys is empty: name a file or an address"));
        }
        Ok(Self::of(config, Source::new(config)?))
    }

    /// By keys of the program's.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be, `keys` among them, which names others.
    pub fn with_keys(config: &JwtConfig, keys: KeySet) -> Result<Self, Error> {
        config.check("auth.jwt")?;
        if !config.keys.is_empty() {
            return Err(Error::invalid_argument("auth.jwt.keys is set, and the program gives keys too: choose one"));
        }
        Ok(Self::of(config, Source::given(keys, config)))
    }

    fn of(config: &JwtConfig, source: Source) -> Self {
        Self { config: Arc::new(config.clone()), source: Arc::new(source), clock: Arc::new(SystemTime::now) }
    }

    /// By another clock than that of the system, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Puts keys in the place of those that the program gave.
    pub fn replace_keys(&self, keys: KeySet) {
        self.source.replace(keys);
    }

    /// The keys that hold now.
    pub fn keys(&self) -> Arc<KeySet> {
        self.source.keys()
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// As [`Authenticate::authenticate`].
    pub async fn verify(&self, token: &str) -> Result<Identity, Error> {
        let max = self.max_size();
        if token.len() > max {
            let log = format!("the token has {} bytes, the limit is {max}", token.len());
            return Err(Refused::new(Failure::TooLarge, log).into());
        }
        let token = Jws::parse(token)?;
        if !self.config.algorithms.contains(&token.algorithm) {
            let log = format!("tokens by {} are not taken", token.algorithm.name());
            return Err(Refused::new(Failure::Algorithm, log).into());
        }
        self.source.keep().await;
        let keys = self.source.keys();
        if keys.is_empty() {
            let error = Error::unavailable("tokens can't be checked now");
            return Err(error.with_log("the keys of tokens could not be read yet"));
        }
        match keys.verify(&token) {
            Err(refused) if refused.why == Failure::UnknownKey && self.source.look_for_more().await => {
                self.source.keys().verify(&token)?;
            }
            verified => verified?,
        }
        Ok(claims::identity(token.claims()?, &self.config, (self.clock)())?)
    }

    fn max_size(&self) -> usize {
        usize::try_from(self.config.max_token_size).unwrap_or(usize::MAX)
    }
}

impl Authenticate for Jwt {
    async fn authenticate(&self, cx: &Context) -> Result<Identity, Error> {
        let token = bearer::token(cx.metadata(), self.max_size())?;
        self.verify(token).await
    }

    fn describe(&self) -> Value {
        json!({
            "issuers": self.config.issuers,
            "audiences": self.config.audiences,
            "algorithms": self.config.algorithms,
            "leeway": crate::duration::format(self.config.leeway),
            "keys": self.source.to_json(),
        })
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        f.debug_struct("Jwt")
            .field("issuers", &config.issuers)
            .field("audiences", &config.audiences)
            .field("algorithms", &config.algorithms)
            .field("keys", &*self.keys())
            .finish_non_exhaustive()
    }
}
