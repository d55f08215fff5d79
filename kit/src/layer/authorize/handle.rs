use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::{Value, json};
use tower::Layer as _;

use super::{AuthorizeConfig, AuthorizeLayer, DefaultRule, MethodRule};
use crate::{
    Context, Endpoint, Error, Method, Middleware, Payload,
    layer::{
        auth::{Failure, Identity, refusal::Challenges},
        methods,
    },
    validate::Validate as _,
};

/// Lets callers do only what they may: a cheap handle, whose clones are one and the same. See the [module](super).
#[derive(Clone)]
pub struct Authorize(Arc<Shared>);

type Rule = dyn Fn(&Context, Option<&Identity>) -> Result<(), Error> + Send + Sync;

struct Shared {
    config: AuthorizeConfig,
    rule: Option<Arc<Rule>>,
    challenges: Challenges,
    methods: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

impl Authorize {
    /// Judges by the settings.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &AuthorizeConfig) -> Result<Self, Error> {
        config.check("authorize")?;
        Ok(Self::of(config.clone(), None))
    }

    fn of(config: AuthorizeConfig, rule: Option<Arc<Rule>>) -> Self {
        let challenges = Challenges::new("Bearer", "");
        Self(Arc::new(Shared { config, rule, challenges, methods: Mutex::default() }))
    }

    /// Asks the program too, when the settings let a call through: a new handle, to be made before it is put around anything. The rule
    /// gets `None` for a caller that is not known, which only comes to methods that are public. What it answers with is what the
    /// caller reads: mostly [`Error::permission_denied`].
    #[must_use]
    pub fn with_rule(
        self,
        rule: impl Fn(&Context, Option<&Identity>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self::of(self.0.config.clone(), Some(Arc::new(rule)))
    }

    /// The settings.
    pub fn config(&self) -> &AuthorizeConfig {
        &self.0.config
    }

    /// How many calls of a method were refused.
    pub fn denied(&self, method: &Method) -> u64 {
        self.cell(method).load(Relaxed)
    }

    /// The names in [`AuthorizeConfig::methods`] that none of the methods has that it was put around so far: misspelt ones.
    pub fn unknown_methods(&self) -> Vec<String> {
        let methods = self.0.methods.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |name: &String| {
            methods.keys().any(|whole| whole == name || whole.rsplit('/').next() == Some(name.as_str()))
        };
        self.0.config.methods.keys().filter(|name| !known(name)).cloned().collect()
    }

    pub(super) fn cell(&self, method: &Method) -> Arc<AtomicU64> {
        let mut methods = self.0.methods.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(methods.entry(methods::whole(method).to_owned()).or_default())
    }

    pub(super) fn judge(&self, method: &Method) -> Judge {
        let config = &self.0.config;
        let rule = match (methods::of(&config.methods, method), config.default) {
            (Some(rule), _) => Some(rule.clone()),
            (None, DefaultRule::Allow) => Some(MethodRule::default()),
            (None, DefaultRule::Deny) => None,
        };
        Judge { authorize: self.clone(), rule, denied: self.cell(method) }
    }
}

impl fmt::Debug for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Middleware for Authorize {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = AuthorizeLayer::new(self, endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

/// Judges the calls of one method.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    authorize: Authorize,
    /// `None`: nobody may call it.
    rule: Option<MethodRule>,
    denied: Arc<AtomicU64>,
}

impl Judge {
    pub(crate) fn allow(&self, cx: &Context) -> Result<(), Error> {
        let identity = cx.extension::<Identity>();
        let allowed = self.by_settings(identity).and_then(|()| match &self.authorize.0.rule {
            Some(rule) => rule(cx, identity),
            None => Ok(()),
        });
        allowed.map_err(|error| {
            self.denied.fetch_add(1, Relaxed);
            self.authorize.0.challenges.complete(error)
        })
    }

    fn by_settings(&self, identity: Option<&Identity>) -> Result<(), Error> {
        if self.rule.as_ref().is_some_and(|rule| rule.public) {
            return Ok(());
        }
        let Some(identity) = identity else { return Err(Failure::Missing.into()) };
        let Some(rule) = &self.rule else { return Err(denied(identity, "nobody may call it: it has no rule")) };
        let missing: Vec<_> =
            rule.scopes.iter().map(String::as_str).filter(|scope| !identity.has_scope(scope)).collect();
        if !missing.is_empty() {
            return Err(denied(identity, &format!("it lacks the scopes {}", missing.join(" "))));
        }
        if !rule.roles.is_empty() && !rule.roles.iter().any(|role| identity.has_role(role)) {
            return Err(denied(identity, &format!("it has none of the roles {}", rule.roles.join(" "))));
        }
        Ok(())
    }

    pub(super) fn settings(&self) -> Value {
        let rule = match &self.rule {
            Some(rule) => json!(rule),
            None => "deny".into(),
        };
        json!({ "rule": rule, "asks_the_program": self.authorize.0.rule.is_some() })
    }

    pub(super) fn state(&self) -> Value {
        json!({ "denied": self.denied.load(Relaxed) })
    }
}

#[cold]
fn denied(identity: &Identity, why: &str) -> Error {
    // The subject is the caller's own text.
    let subject = crate::json::scalar::shorten(identity.subject());
    Error::permission_denied("you may not call this method")
        .with_reason("PERMISSION_DENIED", "kit")
        .with_log(format!("{subject:?}: {why}"))
}
