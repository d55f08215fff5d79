use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tower::Layer as _;

use super::{RateLimit, RateLimitConfig, RateLimitLayer, limit::Inner};
use crate::{Endpoint, Error, Method, Middleware, Payload};

/// The layer as a middleware, for services and clients without the standard chain: each endpoint gets a limit of its own, of the
/// same settings; in the store of a shared limit, under the name of its method. Clones are one.
#[derive(Clone)]
pub struct RateLimits {
    family: Arc<Family>,
    headers: bool,
}

pub(super) struct Family {
    /// Its settings are those of all; it admits no calls itself.
    leader: RateLimit,
    /// Locked when an endpoint is made or settings change, never by a call.
    members: Mutex<Vec<Weak<Inner>>>,
}

impl Family {
    fn members(&self) -> MutexGuard<'_, Vec<Weak<Inner>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits that are in use.
    #[cfg(feature = "metrics")]
    pub(super) fn limits(&self) -> Vec<RateLimit> {
        self.members().iter().filter_map(Weak::upgrade).map(RateLimit).collect()
    }
}

impl RateLimits {
    /// A limit for each endpoint.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &RateLimitConfig) -> Result<Self, Error> {
        let family = Family { leader: RateLimit::new(config)?, members: Mutex::default() };
        Ok(Self { family: Arc::new(family), headers: true })
    }

    /// As [`RateLimitLayer::without_headers`].
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        self.headers = false;
        self
    }

    /// A new limit for a method: with debts of its own, on the connection that all limits of the family have, and changed with them.
    pub fn of(&self, method: &Method) -> RateLimit {
        let mut members = self.family.members();
        members.retain(|member| member.strong_count() > 0);
        let limit = self.family.leader.sibling(method);
        members.push(Arc::downgrade(&limit.0));
        limit
    }

    /// The settings. One that was changed by hand through the debug port has others.
    pub fn config(&self) -> RateLimitConfig {
        self.family.leader.config()
    }

    /// Changes the settings of all limits while calls are made, as [`RateLimit::reconfigure`].
    ///
    /// # Errors
    /// As [`RateLimits::new`]; then nothing has changed.
    pub fn reconfigure(&self, config: &RateLimitConfig) -> Result<(), Error> {
        // Held to the end: an endpoint that is made meanwhile gets the old settings and is changed, or the new ones.
        let mut members = self.family.members();
        self.family.leader.reconfigure(config)?;
        members.retain(|member| member.strong_count() > 0);
        members.iter().filter_map(Weak::upgrade).try_for_each(|member| RateLimit(member).follow(&self.family.leader))
    }

    #[cfg(feature = "metrics")]
    pub(super) fn weak(&self) -> Weak<Family> {
        Arc::downgrade(&self.family)
    }
}

impl Middleware for RateLimits {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = RateLimitLayer::new(&self.of(endpoint.method()));
        let layer = if self.headers { layer } else { layer.without_headers() };
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").field("config", &self.config()).finish_non_exhaustive()
    }
}
