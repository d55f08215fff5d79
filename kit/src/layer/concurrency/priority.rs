use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::{
    Context, Method,
    layer::methods,
    validate::{Validate, Violations},
};

/// All of the limit: a service that names no classes loses nothing.
const NORMAL_SHARE: f64 = 1.0;

/// Three quarters: well above the half below which an adaptive limit stands still, so that background work alone can raise it.
const SHEDDABLE_SHARE: f64 = 0.75;

/// How much a call matters when there is not room for all.
///
/// A middleware that knows better than the settings of a method leaves one in the context of the call, for the layers behind
/// it. Whoever does that for a header of the caller's has to know that the caller may be trusted: anyone would be critical.
///
/// ```
/// use kit::{Context, layer::concurrency::Priority};
///
/// let mut cx = Context::background();
/// cx.set_extension(Priority::Sheddable);
/// assert_eq!(cx.extension(), Some(&Priority::Sheddable));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Shed last: what others depend on, what a person waits for.
    Critical,
    /// Anything that nobody said more about.
    #[default]
    Normal,
    /// Shed first: what is done in the background, what is tried again anyway.
    Sheddable,
}

impl Priority {
    /// All classes, the most important first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Sheddable];

    /// `critical`, `normal` or `sheddable`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Sheddable => "sheddable",
        }
    }

    const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Critical,
            2 => Self::Sheddable,
            _ => Self::Normal,
        }
    }
}

/// Which calls matter how much, and how much of a limit the lesser classes may use. Critical calls may use all of it.
///
/// ```
/// use kit::layer::concurrency::{Priority, PriorityConfig};
///
/// let config: PriorityConfig = serde_json::from_str(r#"{ "methods": { "Export": "sheddable" } }"#)?;
/// assert_eq!(config.methods["Export"], Priority::Sheddable);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriorityConfig {
    /// The class of methods that are not named. Default: `normal`.
    pub default: Priority,
    /// By method, `Detail` or `details.BookDetails/Detail`: `critical`, `normal` or `sheddable`.
    pub methods: BTreeMap<String, Priority>,
    /// The share of the limit that normal and sheddable calls may use together: above 0, at most 1. Default 1. One call may
    /// run in any case.
    pub normal_share: f64,
    /// The share of the limit beyond which no sheddable call begins: above 0, at most `normal_share`. Default 0.75.
    pub sheddable_share: f64,
}

impl Default for PriorityConfig {
    fn default() -> Self {
        Self {
            default: Priority::Normal,
            methods: BTreeMap::new(),
            normal_share: NORMAL_SHARE,
            sheddable_share: SHEDDABLE_SHARE,
        }
    }
}

impl PriorityConfig {
    /// The class of one method.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>, priority: Priority) -> Self {
        self.methods.insert(method.into(), priority);
        self
    }

    /// The class that holds for a method.
    pub fn of(&self, method: &Method) -> Priority {
        methods::of(&self.methods, method).copied().unwrap_or(self.default)
    }

    /// How many calls of any class may run for one of each class to begin.
    pub(crate) fn ceilings(&self, limit: u32) -> Classes<u32> {
        let share = |share: f64| ((f64::from(limit) * share) as u32).max(1).min(limit);
        Classes { critical: limit, normal: share(self.normal_share), sheddable: share(self.sheddable_share) }
    }
}

/// Refuses shares that would leave a class without room, or a lesser one with more.
impl Validate for PriorityConfig {
    fn validate(&self, report: &mut Violations) {
        let share = |share: f64| share > 0.0 && share <= 1.0;
        report.require(share(self.normal_share), "normal_share", "must be above 0 and at most 1");
        let sheddable = share(self.sheddable_share) && self.sheddable_share <= self.normal_share.max(0.0);
        let why = "must be above 0 and at most normal_share: lesser calls can't have more room";
        report.require(sheddable, "sheddable_share", why);
    }
}

/// One value for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Classes<T> {
    pub(crate) critical: T,
    pub(crate) normal: T,
    pub(crate) sheddable: T,
}

impl<T> Classes<T> {
    pub(crate) fn of(&self, class: Priority) -> &T {
        match class {
            Priority::Critical => &self.critical,
            Priority::Normal => &self.normal,
            Priority::Sheddable => &self.sheddable,
        }
    }

    pub(crate) fn of_mut(&mut self, class: Priority) -> &mut T {
        match class {
            Priority::Critical => &mut self.critical,
            Priority::Normal => &mut self.normal,
            Priority::Sheddable => &mut self.sheddable,
        }
    }
}

/// The class of one method, looked up when its layer is built and whenever the settings change: never by a call.
#[derive(Clone, Debug)]
pub(crate) struct MethodClass(Arc<AtomicU8>);

impl MethodClass {
    /// The class of a call.
    #[inline]
    pub(crate) fn of(&self, cx: &Context) -> Priority {
        match cx.extension::<Priority>() {
            Some(priority) => *priority,
            None => Priority::from_u8(self.0.load(Ordering::Relaxed)),
        }
    }
}

/// Knows the classes of all methods that share a limit.
#[derive(Debug)]
pub(crate) struct Classifier(Mutex<Known>);

#[derive(Debug)]
struct Known {
    config: PriorityConfig,
    methods: Vec<(Option<Method>, Weak<AtomicU8>)>,
}

impl Known {
    fn class(&self, method: Option<&Method>) -> u8 {
        method.map_or(self.config.default, |method| self.config.of(method)) as u8
    }
}

impl Classifier {
    pub(crate) fn new(config: PriorityConfig) -> Self {
        Self(Mutex::new(Known { config, methods: Vec::new() }))
    }

    pub(crate) fn class(&self, method: Option<&Method>) -> MethodClass {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = Arc::new(AtomicU8::new(known.class(method)));
        known.methods.retain(|(_, cell)| cell.strong_count() > 0);
        known.methods.push((method.cloned(), Arc::downgrade(&cell)));
        MethodClass(cell)
    }

    pub(crate) fn reconfigure(&self, config: PriorityConfig) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.config = config;
        for (method, cell) in &known.methods {
            if let Some(cell) = cell.upgrade() {
                cell.store(known.class(method.as_ref()), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MethodInfo, MethodKind};

    fn method(name: &'static str) -> Method {
        Method::from(MethodInfo::new("a.B", name, MethodKind::Unary))
    }

    #[test]
    fn the_nearest_rule_wins_and_the_context_beats_it() {
        let config = PriorityConfig::default()
            .with_method("Get", Priority::Sheddable)
            .with_method("a.B/Get", Priority::Critical)
            .with_method("Export", Priority::Sheddable);
        let classifier = Classifier::new(config);
        let mut cx = Context::background();
        let classes = [Some(method("Get")), Some(method("Export")), Some(method("List")), None]
            .map(|method| classifier.class(method.as_ref()));
        let now = |cx: &Context| classes.clone().map(|class| class.of(cx));
        assert_eq!(now(&cx), [Priority::Critical, Priority::Sheddable, Priority::Normal, Priority::Normal]);
        let changed = PriorityConfig { default: Priority::Sheddable, ..PriorityConfig::default() };
        classifier.reconfigure(changed.with_method("List", Priority::Critical));
        assert_eq!(now(&cx), [Priority::Sheddable, Priority::Sheddable, Priority::Critical, Priority::Sheddable]);
        cx.set_extension(Priority::Normal);
        assert_eq!(now(&cx), [Priority::Normal; 4]);
    }

    #[test]
    fn a_share_has_room_for_one() {
        let config = PriorityConfig { normal_share: 0.9, sheddable_share: 0.5, ..PriorityConfig::default() };
        assert_eq!(config.ceilings(10), Classes { critical: 10, normal: 9, sheddable: 5 });
        assert_eq!(config.ceilings(1), Classes { critical: 1, normal: 1, sheddable: 1 });
        assert_eq!(PriorityConfig::default().ceilings(u32::MAX).normal, u32::MAX);
    }
}
