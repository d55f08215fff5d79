//! Settings that were checked, and what was made of them.

use std::{borrow::Cow, sync::Arc};

use super::{
    config::{MESSAGE, RateLimitConfig, RateLimitHeaders},
    key::Selector,
    keys::Keys,
    shared::Store,
};
use crate::{Error, validate::Validate as _};

/// What the settings are called in a file.
pub(super) const SECTION: &str = "rate_limit";

/// There is one limit for all calls, in this process: nothing else has to be looked at.
pub(super) const PLAIN: u8 = 1;

/// Answers carry the headers, too.
pub(super) const ANSWERS: u8 = 2;

/// What calls that are not plain need, and refusals.
pub(super) struct Policy {
    pub(super) config: RateLimitConfig,
    pub(super) selector: Selector,
    pub(super) message: Cow<'static, str>,
    pub(super) store: Option<Arc<Store>>,
    /// Here, because how many there may be is a setting.
    pub(super) keys: Arc<Keys>,
}

impl Policy {
    /// `before` is what holds until `now`: of it is kept what the settings leave as it is. `beside` is one of the same family, whose
    /// connection may be used.
    pub(super) fn new(
        config: &RateLimitConfig,
        custom: Option<&Selector>,
        before: Option<(&Self, u64)>,
        beside: Option<&Self>,
    ) -> Result<Self, Error> {
        config.check(SECTION)?;
        let wrong = |key, why| Error::invalid_argument(format!("{SECTION}.{key} {why}"));
        let chosen = Selector::of(&config.key).map_err(|why| wrong("key", why))?;
        let selector = match (custom, chosen) {
            (None, chosen) => chosen,
            (Some(custom), Selector::None) => custom.clone(),
            (Some(_), _) => {
                let why = format!("is {}, but the program chooses keys itself: use none", config.key);
                return Err(wrong("key", why));
            }
        };
        let open = [before.map(|(before, _)| before), beside];
        let mut open = open.into_iter().flatten().filter_map(|policy| policy.store.as_ref());
        let store = match &config.shared {
            None => None,
            Some(shared) => match open.find(|store| store.config() == shared) {
                Some(store) => Some(Arc::clone(store)),
                None => Some(Arc::new(Store::open(shared).map_err(|why| wrong("shared.url", why))?)),
            },
        };
        let message = match config.message.as_str() {
            MESSAGE => Cow::Borrowed(MESSAGE),
            other => Cow::Owned(other.to_owned()),
        };
        let keys = match before {
            _ if matches!(selector, Selector::None) => Arc::new(no_keys()),
            Some((before, _)) if before.is_keyed() && before.config.max_keys == config.max_keys => {
                Arc::clone(&before.keys)
            }
            Some((before, now)) => Arc::new(before.keys.moved(config.max_keys, config.rate(), now)),
            None => Arc::new(Keys::new(config.max_keys)),
        };
        Ok(Self { config: config.clone(), selector, message, store, keys })
    }

    /// The same for another limit.
    pub(super) fn copy(&self) -> Self {
        Self {
            config: self.config.clone(),
            selector: self.selector.clone(),
            message: self.message.clone(),
            store: self.store.clone(),
            keys: Arc::new(if self.is_keyed() { Keys::new(self.config.max_keys) } else { no_keys() }),
        }
    }

    /// Whether calls are told apart.
    pub(super) fn is_keyed(&self) -> bool {
        !matches!(self.selector, Selector::None)
    }

    /// What a call has to know first.
    pub(super) fn flags(&self) -> u8 {
        let plain = !self.is_keyed() && self.store.is_none();
        let answers = self.config.headers == RateLimitHeaders::All;
        let plain = if plain { PLAIN } else { 0 };
        if answers { plain | ANSWERS } else { plain }
    }

    /// Where keys come from.
    pub(super) fn chosen_by(&self) -> String {
        match self.selector {
            Selector::Custom(_) => "the program".to_owned(),
            _ => self.config.key.to_string(),
        }
    }
}

/// The table of a limit that needs none.
fn no_keys() -> Keys {
    Keys::new(1)
}
