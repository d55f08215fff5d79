use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    TimeoutConfig,
    config::{read, write},
};
use crate::{Error, LayerInfo, Method, layer::change};

/// How long the calls of one method may take. Clones are one, and can be changed while calls run: what began keeps the limit that
/// it began with.
///
/// ```
/// use kit::layer::timeout::{TimeoutLayer, TimeoutLimits};
/// use std::time::Duration;
///
/// let limits = TimeoutLimits::new(Some(Duration::from_secs(2)), None);
/// let layer = TimeoutLayer::server(limits.clone());
/// limits.set(Some(Duration::from_secs(1)), None);
/// assert_eq!(limits.total(), Some(Duration::from_secs(1)));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct TimeoutLimits(Arc<Limits>);

/// In nanoseconds.
#[derive(Debug)]
struct Limits {
    total: AtomicU64,
    idle: AtomicU64,
}

/// No limit: five hundred years.
const NONE: u64 = u64::MAX;

impl TimeoutLimits {
    /// The longest time for a whole call, and for the next message of a stream; `None` is no limit.
    pub fn new(total: Option<Duration>, idle: Option<Duration>) -> Self {
        Self(Arc::new(Limits { total: AtomicU64::new(to_nanos(total)), idle: AtomicU64::new(to_nanos(idle)) }))
    }

    /// Those of a method.
    pub fn of(config: &TimeoutConfig, method: &Method) -> Self {
        Self::new(config.of(method), config.idle)
    }

    /// Other limits, from the next call on.
    pub fn set(&self, total: Option<Duration>, idle: Option<Duration>) {
        self.0.total.store(to_nanos(total), Relaxed);
        self.0.idle.store(to_nanos(idle), Relaxed);
    }

    /// The longest time for a whole call.
    pub fn total(&self) -> Option<Duration> {
        from_nanos(self.0.total.load(Relaxed))
    }

    /// The longest time for the next message of a stream.
    pub fn idle(&self) -> Option<Duration> {
        from_nanos(self.0.idle.load(Relaxed))
    }

    /// Whether somebody else holds them.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// What the debug port shows, and changes.
    pub(super) fn info(&self) -> LayerInfo {
        let (shown, changed) = (self.clone(), self.clone());
        LayerInfo::live("timeout", move || shown.settings()).with_control(move |changes| changed.change(changes))
    }

    fn settings(&self) -> Value {
        json!(Shown { timeout: self.total(), idle: self.idle() })
    }

    fn change(&self, changes: &Value) -> Result<(), Error> {
        let Shown { timeout, idle } =
            change::merged("timeout", &Shown { timeout: self.total(), idle: self.idle() }, changes)?;
        self.set(timeout, idle);
        Ok(())
    }
}

/// The settings of one method.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Shown {
    #[serde(serialize_with = "write", deserialize_with = "read")]
    timeout: Option<Duration>,
    #[serde(serialize_with = "write", deserialize_with = "read")]
    idle: Option<Duration>,
}

impl From<Option<Duration>> for TimeoutLimits {
    /// A limit for the whole call alone.
    fn from(total: Option<Duration>) -> Self {
        Self::new(total, None)
    }
}

fn to_nanos(limit: Option<Duration>) -> u64 {
    limit.map_or(NONE, |limit| u64::try_from(limit.as_nanos()).unwrap_or(NONE))
}

fn from_nanos(nanos: u64) -> Option<Duration> {
    (nanos != NONE).then(|| Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_changed_as_a_whole_or_not_at_all() {
        let limits = TimeoutLimits::new(Some(Duration::from_secs(1)), None);
        let info = limits.info();
        assert_eq!(info.settings(), json!({ "timeout": "1s", "idle": "none" }));
        info.change(&json!({ "idle": "30s" })).unwrap();
        assert_eq!((limits.total(), limits.idle()), (Some(Duration::from_secs(1)), Some(Duration::from_secs(30))));
        for wrong in [json!({ "timeout": "2s", "idle": "0s" }), json!({ "timeuot": "2s" }), json!("2s")] {
            info.change(&wrong).unwrap_err();
            assert_eq!(limits.total(), Some(Duration::from_secs(1)), "{wrong}");
        }
        info.change(&json!({ "timeout": "none" })).unwrap();
        assert_eq!(limits.total(), None);
    }
}
