use std::{fmt, sync::Arc};

use http::Extensions;
use serde_json::{Map, Value};

/// Who makes a call. Cheap to clone.
///
/// Handlers get it by `cx.extension::<Identity>()`. What a program knows of its callers beyond this it adds as a type of its own:
///
/// ```
/// use kit::layer::auth::Identity;
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Tenant(u32);
///
/// let ann = Identity::new("ann").with_scopes(["books.read"]).with_roles(["editor"]).with_extension(Tenant(7));
/// assert!(ann.has_scope("books.read") && ann.has_role("editor"));
/// assert_eq!(ann.extension::<Tenant>(), Some(&Tenant(7)));
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    subject: String,
    issuer: Option<String>,
    scopes: Vec<String>,
    roles: Vec<String>,
    claims: Map<String, Value>,
    extensions: Extensions,
}

impl Identity {
    /// Somebody who may do nothing yet. The subject is unique at whoever issued it.
    pub fn new(subject: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            subject: subject.into(),
            issuer: None,
            scopes: Vec::new(),
            roles: Vec::new(),
            claims: Map::new(),
            extensions: Extensions::new(),
        }))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Who says so.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        self.change(|inner| inner.issuer = Some(issuer.into()))
    }

    /// What may be done in its name, in the place of what was.
    #[must_use]
    pub fn with_scopes<I: IntoIterator<Item = S>, S: Into<String>>(self, scopes: I) -> Self {
        self.change(|inner| inner.scopes = scopes.into_iter().map(Into::into).collect())
    }

    /// What it is, in the place of what was.
    #[must_use]
    pub fn with_roles<I: IntoIterator<Item = S>, S: Into<String>>(self, roles: I) -> Self {
        self.change(|inner| inner.roles = roles.into_iter().map(Into::into).collect())
    }

    /// All that is said of it, in the place of what was.
    #[must_use]
    pub fn with_claims(self, claims: Map<String, Value>) -> Self {
        self.change(|inner| inner.claims = claims)
    }

    /// Adds a value of a type of yours; one for each type.
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        self.change(|inner| {
            inner.extensions.insert(value);
        })
    }

    /// Its name: unique at the issuer, not among all of them.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Who says so, if that is known.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// What may be done in its name.
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// What it is.
    pub fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// Whether it has a scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.scopes.iter().any(|has| has == scope)
    }

    /// Whether it has a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles.iter().any(|has| has == role)
    }

    /// One thing that is said of it.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.0.claims.get(name)
    }

    /// All that is said of it.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    /// What an authenticator added.
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.extensions.get()
    }
}

/// Of the claims the names only: what they say of a person does not belong into a log.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.0.subject)
            .field("issuer", &self.0.issuer)
            .field("scopes", &self.0.scopes)
            .field("roles", &self.0.roles)
            .field("claims", &self.0.claims.keys())
            .finish_non_exhaustive()
    }
}
