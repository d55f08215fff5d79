//! A configuration as a tree in which each value knows where it was set.

use super::error::Origin;

/// A value and where it was set.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The scalars of YAML keep how they were written, for fields that turn out to be strings:
/// `version: 1.10`.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool, String),
    Int(i128, String),
    Float(f64, String),
    Str(String),
    /// Text from outside of YAML: what it means depends on the field that is filled from it.
    Text(Text),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// The default of the key is a string: for fields that don't tell what they expect (`flatten`,
    /// untagged enums).
    pub(super) is_string: bool,
}

/// A key of a map and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key is.
    pub(super) origin: Origin,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// The entry of a map.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value below a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Where a printed key such as `database.url` or `peers[0].url` was set: the place of the
    /// deepest part of it that is in this tree; the default when the last one is a map that lacks
    /// it.
    pub(super) fn origin_of(&self, key: &str) -> Origin {
        match &self.value {
            _ if key.is_empty() => self.origin.clone(),
            Value::Map(entries) => {
                let below = |entry: &Entry| {
                    let rest = key.strip_prefix(entry.key.as_str())?;
                    let rest = match rest.strip_prefix('.') {
                        Some(rest) => rest,
                        None if rest.is_empty() || rest.starts_with('[') => rest,
                        None => return None,
                    };
                    // The key says better than the value which line to edit: a list starts on the
                    // next one.
                    Some(match &entry.node.value {
                        Value::Map(_) | Value::Seq(_) if !rest.is_empty() => entry.node.origin_of(rest),
                        _ => entry.origin.clone(),
                    })
                };
                entries.iter().find_map(below).unwrap_or(Origin::Default)
            }
            Value::Seq(items) => {
                let element = key.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let below = element.and_then(|(index, rest)| {
                    let item = items.get(index.parse::<usize>().ok()?)?;
                    Some(item.origin_of(rest.strip_prefix('.').unwrap_or(rest)))
                });
                below.unwrap_or_else(|| self.origin.clone())
            }
            _ => self.origin.clone(),
        }
    }

    /// Lays another tree over this one: maps are merged, anything else is replaced.
    pub(super) fn overlay(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (Value::Map(entries), Value::Map(others)) => {
                for other in others {
                    match entries.iter_mut().find(|entry| entry.key == other.key) {
                        Some(entry) => {
                            entry.node.overlay(other.node);
                            entry.origin = other.origin;
                        }
                        None => entries.push(other),
                    }
                }
            }
            (value, other) => {
                *value = other;
                self.origin = over.origin;
            }
        }
    }

    /// Sets the value at a path, and makes the maps above it where they are missing.
    ///
    /// # Errors
    ///
    /// When there is a single value where a map is needed: gives its place in the path and its
    /// origin.
    pub(super) fn insert(&mut self, path: &[String], node: Self) -> Result<(), (usize, Origin)> {
        let Some((key, below)) = path.split_first() else {
            *self = node;
            return Ok(());
        };
        if let Value::Null = self.value {
            *self = Self::new(Value::Map(Vec::new()), node.origin.clone());
        }
        let Value::Map(entries) = &mut self.value else {
            return Err((0, self.origin.clone()));
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
            if below.is_empty() {
                entry.origin = node.origin.clone();
            }
            return entry.node.insert(below, node).map_err(|(depth, origin)| (depth + 1, origin));
        }
        let origin = node.origin.clone();
        let mut child = Self::new(Value::Null, origin.clone());
        child.insert(below, node)?;
        entries.push(Entry { key: key.clone(), origin, node: child });
        Ok(())
    }

    /// Takes out the value at a path, or else the deepest one above it that there is, and then each
    /// map that this leaves empty. Gives the length of the path to what went; 0 when nothing did.
    pub(super) fn remove(&mut self, path: &[String]) -> usize {
        let (Some((key, below)), Value::Map(entries)) = (path.split_first(), &mut self.value) else {
            return 0;
        };
        let Some(at) = entries.iter().position(|entry| entry.key == *key) else {
            return 0;
        };
        let Some(entry) = entries.get_mut(at) else {
            return 0;
        };
        let depth = entry.node.remove(below);
        let emptied = matches!(&entry.node.value, Value::Map(rest) if rest.is_empty());
        if depth == 0 || emptied {
            entries.remove(at);
            return 1;
        }
        depth + 1
    }
}
