use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tower::Layer as _;

use super::{
    AuthConfig, AuthFigures, AuthLayer, Authenticate, Identity, authenticate::Erased, figures::Figures,
    refusal::Challenges,
};
use crate::{Context, Endpoint, Error, Method, Middleware, Payload, layer::methods, validate::Validate as _};

/// Lets only callers through that are known: a cheap handle, whose clones are one and the same. See the [module](super).
#[derive(Clone)]
pub struct Auth(Arc<Shared>);

struct Shared {
    authenticator: Box<dyn Erased>,
    config: AuthConfig,
    challenges: Challenges,
    methods: Mutex<BTreeMap<String, Arc<Figures>>>,
}

impl Auth {
    /// Knows callers by what `authenticator` says.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(authenticator: impl Authenticate, config: &AuthConfig) -> Result<Self, Error> {
        config.check("auth")?;
        Ok(Self(Arc::new(Shared {
            challenges: Challenges::new(authenticator.scheme(), &config.realm),
            authenticator: Box::new(authenticator),
            config: config.clone(),
            methods: Mutex::default(),
        })))
    }

    /// The settings.
    pub fn config(&self) -> &AuthConfig {
        &self.0.config
    }

    /// What was refused of a method.
    pub fn figures(&self, method: &Method) -> AuthFigures {
        self.cells(method).read()
    }

    /// The names in [`AuthConfig::public`] that none of the methods has that it was put around so far: misspelt ones.
    pub fn unknown_methods(&self) -> Vec<String> {
        let methods = self.0.methods.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |name: &String| {
            methods.keys().any(|whole| whole == name || whole.rsplit('/').next() == Some(name.as_str()))
        };
        self.0.config.public.iter().filter(|name| !known(name)).cloned().collect()
    }

    pub(super) fn cells(&self, method: &Method) -> Arc<Figures> {
        let mut methods = self.0.methods.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(methods.entry(methods::whole(method).to_owned()).or_default())
    }

    pub(super) fn gate(&self, method: &Method) -> Gate {
        Gate { auth: self.clone(), public: self.0.config.is_public(method), figures: self.cells(method) }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Middleware for Auth {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = AuthLayer::new(self, endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

/// The way into one method.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    auth: Auth,
    public: bool,
    figures: Arc<Figures>,
}

impl Gate {
    /// Who calls; `None` for nobody in particular, where that is enough.
    pub(crate) async fn identify(&self, cx: &Context) -> Result<Option<Identity>, Error> {
        match self.auth.0.authenticator.authenticate(cx).await {
            Ok(identity) => Ok(Some(identity)),
            Err(_) if self.public => Ok(None),
            Err(error) => {
                self.figures.count(&error);
                Err(self.auth.0.challenges.complete(error))
            }
        }
    }

    pub(super) fn settings(&self) -> Value {
        let realm = &self.auth.0.config.realm;
        json!({ "public": self.public, "realm": realm, "authenticator": self.auth.0.authenticator.describe() })
    }

    pub(super) fn state(&self) -> Value {
        json!({ "rejected": self.figures.read().to_json() })
    }
}
