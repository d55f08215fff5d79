//! Methods by the names that settings have for them, `Detail` or whole, `details.BookDetails/Detail`, and what is kept for each.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Method, validate::Violations};

/// What is set for a method. The whole name goes before the short one.
pub(crate) fn of<'a, T>(settings: &'a BTreeMap<String, T>, method: &Method) -> Option<&'a T> {
    settings.get(whole(method)).or_else(|| settings.get(&*method.name))
}

/// Whether a name is that of a method.
pub(crate) fn is(name: &str, method: &Method) -> bool {
    name == &*method.name || name == whole(method)
}

/// What is wrong with a name, if anything is.
pub(in crate::layer) fn wrong(name: &str) -> Option<&'static str> {
    (name.is_empty() || name.contains(char::is_whitespace) || name.starts_with('/') || name.ends_with('/'))
        .then_some("is no name of a method: write Detail, or details.BookDetails/Detail")
}

/// Reports the names in `methods` that can't be those of methods.
pub(in crate::layer) fn validate_names<'a>(names: impl IntoIterator<Item = &'a String>, report: &mut Violations) {
    for (name, why) in names.into_iter().filter_map(|name| wrong(name).map(|why| (name, why))) {
        report.add("methods", format!("has {name:?}, which {why}"));
    }
}

pub(in crate::layer) fn whole(method: &Method) -> &str {
    method.path.strip_prefix('/').unwrap_or(&method.path)
}

/// What a handle keeps for each method that it stands around: looked up when a layer is made, never by a call.
pub(in crate::layer) struct PerMethod<T>(Mutex<BTreeMap<String, Arc<T>>>);

impl<T> Default for PerMethod<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> PerMethod<T> {
    /// That of a method; made when it is asked for first.
    pub(in crate::layer) fn of(&self, method: &Method, make: impl FnOnce() -> T) -> Arc<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(whole(method).to_owned()).or_insert_with(|| Arc::new(make())))
    }

    /// Those of all methods.
    #[cfg(feature = "cache")]
    pub(in crate::layer) fn all(&self) -> Vec<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }
}

impl<T> fmt::Debug for PerMethod<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PerMethod")
    }
}
