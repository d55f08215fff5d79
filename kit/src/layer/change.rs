//! Settings that change while calls read them: by a program, when a file is read again, or by hand.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::{ArcSwap, Guard};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{Error, validate::Validate};

/// The settings that hold, and one change of them at a time.
pub(in crate::layer) struct Live<C> {
    section: &'static str,
    now: ArcSwap<C>,
    /// Held while settings change: of two changes none may be lost, nor one half of each hold.
    changing: Mutex<()>,
}

impl<C: Validate + Clone> Live<C> {
    /// `section` is what the settings are called where they are set.
    pub(in crate::layer) fn new(section: &'static str, settings: &C) -> Result<Self, Error> {
        settings.check(section)?;
        Ok(Self { section, now: ArcSwap::from_pointee(settings.clone()), changing: Mutex::new(()) })
    }

    pub(in crate::layer) fn section(&self) -> &'static str {
        self.section
    }

    /// For calls.
    pub(in crate::layer) fn load(&self) -> Guard<Arc<C>> {
        self.now.load()
    }

    /// A copy.
    pub(in crate::layer) fn get(&self) -> C {
        C::clone(&self.now.load())
    }

    /// Makes other settings of those that hold and, when they can be, applies them. `apply` gets those from before and the new ones;
    /// what it refuses is not stored, so it has to refuse before it changes anything.
    pub(in crate::layer) fn change(
        &self,
        make: impl FnOnce(&C) -> Result<C, Error>,
        apply: impl FnOnce(&C, &C) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.now.load();
        let after = make(&before)?;
        after.check(self.section)?;
        apply(&before, &after)?;
        self.now.store(Arc::new(after));
        Ok(())
    }
}

impl<C: fmt::Debug> fmt::Debug for Live<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now.load().fmt(f)
    }
}

/// The members of a change, which has to be an object.
pub(in crate::layer) fn members<'a>(section: &str, changes: &'a Value) -> Result<&'a Map<String, Value>, Error> {
    let wrong = || format!("{section}: a change is an object with the settings to change, and their new values");
    changes.as_object().ok_or_else(|| Error::invalid_argument(wrong()))
}

/// The settings with what a change says in their place, as RFC 7396 (JSON Merge Patch) does it: objects member by member, and `null`
/// for the default. All that can't be read is named.
pub(in crate::layer) fn merged<C: Serialize + DeserializeOwned>(
    section: &str,
    settings: &C,
    changes: &Value,
) -> Result<C, Error> {
    members(section, changes)?;
    let before = serde_json::to_value(settings)
        .map_err(|error| Error::internal("the settings can't be written").with_source(error))?;
    let read = |changes: &Value, nulls| {
        let mut after = before.clone();
        merge(&mut after, changes, nulls);
        serde_json::from_value::<C>(after)
    };
    let mut wrong = Vec::new();
    for (path, change) in leaves(changes) {
        let refused = match read(&change, Null::Removes) {
            Err(error) => Some(error),
            // The default of what does not exist is a misspelt name, too.
            Ok(_) => read(&change, Null::Stays).err().filter(|error| error.to_string().starts_with("unknown field")),
        };
        wrong.extend(refused.map(|error| format!("{section}.{path}: {error}")));
    }
    if !wrong.is_empty() {
        return Err(Error::invalid_argument(wrong.join("; ")));
    }
    read(changes, Null::Removes).map_err(|error| Error::invalid_argument(format!("{section}: {error}")))
}

#[derive(Clone, Copy, PartialEq)]
enum Null {
    Removes,
    Stays,
}

fn merge(into: &mut Value, changes: &Value, nulls: Null) {
    let Value::Object(changes) = changes else {
        *into = changes.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(into) = into.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() && nulls == Null::Removes {
            into.remove(name);
        } else {
            merge(into.entry(name).or_insert(Value::Null), change, nulls);
        }
    }
}

/// Each single value of a change: its path, and the change of it alone.
fn leaves(changes: &Value) -> Vec<(String, Value)> {
    let Some(members) = changes.as_object().filter(|members| !members.is_empty()) else {
        return vec![(String::new(), changes.clone())];
    };
    let of = |(name, change): (&String, &Value)| {
        let leaves = leaves(change).into_iter().map(|(path, leaf)| {
            let path = if path.is_empty() { name.clone() } else { format!("{name}.{path}") };
            (path, Value::Object(Map::from_iter([(name.clone(), leaf)])))
        });
        leaves.collect::<Vec<_>>()
    };
    members.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::validate::Violations;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        most: u32,
        ratio: Option<f64>,
        inner: Inner,
        methods: BTreeMap<String, u32>,
        more: Option<Inner>,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        name: String,
        size: u32,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self { most: 7, ratio: None, inner: Inner::default(), methods: BTreeMap::new(), more: None }
        }
    }

    impl Validate for Settings {
        fn validate(&self, report: &mut Violations) {
            report.require(self.most > 0, "most", "is 0");
        }
    }

    fn settings() -> Settings {
        let inner = Inner { name: "a".to_owned(), size: 3 };
        Settings { most: 1, ratio: Some(0.5), inner, methods: [("Say".to_owned(), 1)].into(), more: None }
    }

    fn change(changes: &Value) -> Result<Settings, String> {
        merged("section", &settings(), changes).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_is_named_is_changed_and_null_is_the_default() {
        let changed = change(&json!({ "most": 2, "inner": { "size": 4 }, "methods": { "Tell": 2 } })).unwrap();
        let inner = Inner { name: "a".to_owned(), size: 4 };
        let methods = [("Say".to_owned(), 1), ("Tell".to_owned(), 2)].into();
        assert_eq!(changed, Settings { most: 2, inner, methods, ..settings() });
        let nulls =
            json!({ "most": null, "ratio": null, "inner": { "name": null }, "methods": { "Say": null, "No": null } });
        let changed = change(&nulls).unwrap();
        assert_eq!((changed.most, changed.ratio, changed.methods.len()), (7, None, 0));
        assert_eq!(changed.inner, Inner { name: String::new(), size: 3 });
        // What was not there is begun from its defaults.
        assert_eq!(
            change(&json!({ "more": { "size": 2, "name": null } })).unwrap().more,
            Some(Inner { name: String::new(), size: 2 })
        );
        assert_eq!(change(&json!({})).unwrap(), settings());
    }

    #[test]
    fn all_that_can_not_be_read_is_named() {
        let said =
            change(&json!({ "mst": 1, "inner": { "size": -1, "sze": null }, "most": 2, "others": {} })).unwrap_err();
        for part in [
            "section.mst: unknown field `mst`, expected one of",
            "section.inner.size: invalid value: integer `-1`",
            "section.inner.sze: unknown field `sze`",
            "section.others: unknown field `others`",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert!(!said.contains("section.most"), "{said}");
        for wrong in [json!(3), json!([]), json!(null)] {
            assert!(change(&wrong).unwrap_err().starts_with("section: a change is an object"), "{wrong}");
        }
        change(&json!({ "inner": 3 })).unwrap_err();
    }

    #[test]
    fn a_change_that_is_refused_changes_nothing() {
        let live = Live::new("section", &settings()).unwrap();
        let to = |most| move |before: &Settings| Ok(Settings { most, ..before.clone() });
        let error = live.change(to(0), |_, _| panic!("applied")).unwrap_err();
        assert_eq!(error.message(), "section.most is 0");
        live.change(to(2), |_, _| Err(Error::failed_precondition("no"))).unwrap_err();
        assert_eq!(live.get(), settings());
        live.change(to(3), |before, after| {
            assert_eq!((before.most, after.most), (1, 3));
            Ok(())
        })
        .unwrap();
        assert_eq!(live.load().most, 3);
        assert!(Live::new("section", &Settings { most: 0, ..settings() }).is_err());
    }

    /// Each thread changes a thing of its own: at the end all of it is there.
    #[test]
    fn no_change_is_lost() {
        let live = Live::new("section", &settings()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let live = &live;
                scope.spawn(move || {
                    for number in 0..100 {
                        let changes = json!({ "methods": { format!("{thread} {number}"): 1 } });
                        live.change(|before| merged("section", before, &changes), |_, _| Ok(())).unwrap();
                    }
                });
            }
        });
        assert_eq!(live.get().methods.len(), 401);
    }
}
