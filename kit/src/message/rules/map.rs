use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash},
};

use super::{
    Check, count,
    path::{Key, Step},
};

/// A key of a map.
pub trait MapKey: Hash + Eq {
    /// As a path shows it.
    fn key(&self) -> Key<'_>;
}

macro_rules! keys {
    ($($type:ty => $key:ident),*) => {
        $(impl MapKey for $type {
            fn key(&self) -> Key<'_> {
                Key::$key((*self).into())
            }
        })*
    };
}

keys!(i32 => Int, i64 => Int, u32 => Uint, u64 => Uint, bool => Bool);

impl MapKey for String {
    fn key(&self) -> Key<'_> {
        Key::Text(self)
    }
}

/// The rules of a map.
#[derive(Debug)]
pub struct MapCheck<'a, 'v, K, V, S> {
    check: Check<'a>,
    entries: &'v HashMap<K, V, S>,
}

impl<'a, 'v, K: MapKey, V, S: BuildHasher> MapCheck<'a, 'v, K, V, S> {
    pub(super) fn new(check: Check<'a>, entries: &'v HashMap<K, V, S>) -> Self {
        Self { check, entries }
    }

    fn require(mut self, holds: bool, must: fmt::Arguments<'_>) -> Self {
        self.check.require(holds, must);
        self
    }

    /// `min_pairs`.
    pub fn min_pairs(self, least: u64) -> Self {
        let holds = count(self.entries.len()) >= least;
        self.require(holds, format_args!("must have at least {}", Entries(least)))
    }

    /// `max_pairs`.
    pub fn max_pairs(self, most: u64) -> Self {
        let holds = count(self.entries.len()) <= most;
        self.require(holds, format_args!("must have at most {}", Entries(most)))
    }

    /// `keys`: checks each key, until no more violations are wanted.
    pub fn keys(self, mut check: impl FnMut(Check<'_>, &K)) -> Self {
        self.entries(|inside, key, _| check(inside.step(Step::Key(key.key())), key))
    }

    /// `values`: checks each value, until no more violations are wanted.
    pub fn values(self, mut check: impl FnMut(Check<'_>, &V)) -> Self {
        self.entries(|inside, key, value| check(inside.step(Step::Value(key.key())), value))
    }

    fn entries(mut self, mut check: impl FnMut(&mut Check<'a>, &K, &V)) -> Self {
        let from = self.check.report.len();
        for (key, value) in self.entries {
            if self.check.is_full() {
                break;
            }
            check(&mut self.check, key, value);
        }
        if self.check.report.len() > from {
            self.check.report.sort_from(from);
        }
        self
    }
}

/// `1 entry`, `2 entries`.
struct Entries(u64);

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "entry" } else { "entries" })
    }
}
