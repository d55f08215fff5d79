//! Makes the configuration out of the merged tree.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::de::{De, DeError, Path};
use super::error::{ConfigError, Problem};
use super::loaded;
use super::tree::{Node, Value};
use crate::mask::MASK;

/// So many mistakes are told at once.
const MAX_PROBLEMS: usize = 32;

/// Deserializes the tree; after a mistake again without the wrong value, to find the next one.
pub(super) fn fill<T: DeserializeOwned>(mut merged: Node, problems: &mut Vec<Problem>) -> Option<T> {
    let mut removed = BTreeSet::new();
    loop {
        let error = match deserialize(&merged) {
            Ok(config) => return Some(config),
            Err(error) => error,
        };
        let keys = error.keys().to_vec();
        // What we took out ourselves is now missing; nobody has to hear that.
        if removed.contains(&keys) {
            return None;
        }
        problems.push(error.into_problem());
        let depth = merged.remove(&keys);
        if depth == 0 || problems.len() >= MAX_PROBLEMS {
            return None;
        }
        for length in depth..=keys.len() {
            removed.insert(keys.get(..length).unwrap_or_default().to_vec());
        }
    }
}

fn deserialize<T: DeserializeOwned>(merged: &Node) -> Result<T, DeError> {
    let path = &Path::Root;
    T::deserialize(De { node: merged, path }).map_err(|error| error.at(merged, path))
}

pub(super) fn list_keys<T: Serialize>(config: &T) -> Result<Node, ConfigError> {
    Node::of(config).map_err(|error| {
        let message = format!("the configuration can't be listed: {error}");
        ConfigError::new(vec![Problem::new(None, "", message)])
    })
}

/// Gives back the defaults that a section lost because its own type has others.
///
/// Serde fills the gaps of a section from the `Default` of the section's type, which need not be
/// what the `Default` of the whole configuration has there. The default tree can't simply be put
/// below the others, because secrets are masked in it; so only what differs is taken from it.
pub(super) fn restore_defaults<T>(config: T, default: &Node, merged: &Node) -> Result<(T, Node), ConfigError>
where
    T: Serialize + DeserializeOwned,
{
    let actual = list_keys(&config)?;
    let mut lost = Vec::new();
    find_lost(default, &actual, Some(merged), &mut Vec::new(), &mut lost);
    let (mut config, mut actual) = (config, actual);
    let mut completed = merged.clone();
    for (path, node) in lost {
        // One by one, since one that was set under an alias can't be given twice, and a type need
        // not be able to read what it writes. What is kept then is right in the listing, at least.
        let mut attempt = completed.clone();
        if attempt.insert(&path, node).is_ok()
            && let Ok(better) = deserialize(&attempt)
        {
            completed = attempt;
            config = better;
            actual = list_keys(&config)?;
        }
    }
    Ok((config, actual))
}

fn find_lost(
    default: &Node,
    actual: &Node,
    merged: Option<&Node>,
    path: &mut Vec<String>,
    lost: &mut Vec<(Vec<String>, Node)>,
) {
    match (&default.value, &actual.value, merged.map(|merged| &merged.value)) {
        (Value::Map(entries), Value::Map(_), None | Some(Value::Map(_))) => {
            for entry in entries {
                let Some(actual) = actual.get(&entry.key) else {
                    continue;
                };
                path.push(entry.key.clone());
                let merged = merged.and_then(|merged| merged.get(&entry.key));
                find_lost(&entry.node, actual, merged, path, lost);
                path.pop();
            }
        }
        (_, _, None) if !loaded::same(default, actual) && !has_secret(default) => {
            lost.push((path.clone(), default.clone()));
        }
        _ => {}
    }
}

fn has_secret(node: &Node) -> bool {
    match &node.value {
        Value::Str(text) => text == MASK,
        Value::Seq(items) => items.iter().any(has_secret),
        Value::Map(entries) => entries.iter().any(|entry| has_secret(&entry.node)),
        _ => false,
    }
}
