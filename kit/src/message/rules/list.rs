use std::{collections::HashSet, fmt, hash::Hash};

use super::{Check, Count, count, path::Step};

/// The rules of a repeated field.
#[derive(Debug)]
pub struct ListCheck<'a, 'v, T> {
    check: Check<'a>,
    values: &'v [T],
}

impl<'a, 'v, T> ListCheck<'a, 'v, T> {
    pub(super) fn new(check: Check<'a>, values: &'v [T]) -> Self {
        Self { check, values }
    }

    fn require(mut self, holds: bool, must: fmt::Arguments<'_>) -> Self {
        self.check.require(holds, must);
        self
    }

    /// `min_items`.
    pub fn min_items(self, least: u64) -> Self {
        let holds = count(self.values.len()) >= least;
        self.require(holds, format_args!("must have at least {}", Count(least, "item")))
    }

    /// `max_items`.
    pub fn max_items(self, most: u64) -> Self {
        let holds = count(self.values.len()) <= most;
        self.require(holds, format_args!("must have at most {}", Count(most, "item")))
    }

    /// `items`: checks each element, until no more violations are wanted.
    pub fn each(mut self, mut check: impl FnMut(Check<'_>, &T)) -> Self {
        for (index, value) in self.values.iter().enumerate() {
            if self.check.is_full() {
                break;
            }
            check(self.check.step(Step::Index(index)), value);
        }
        self
    }
}

impl<T: UniqueKey> ListCheck<'_, '_, T> {
    /// `unique`.
    pub fn unique(self) -> Self {
        let mut seen = HashSet::with_capacity(self.values.len());
        let holds = self.values.iter().filter_map(UniqueKey::key).all(|key| seen.insert(key));
        self.require(holds, format_args!("must not have the same item twice"))
    }
}

/// What `unique` compares of an element.
pub trait UniqueKey {
    /// What is compared.
    type Key<'a>: Hash + Eq
    where
        Self: 'a;
    /// `None` for what is never equal to anything: NaN.
    fn key(&self) -> Option<Self::Key<'_>>;
}

macro_rules! itself {
    ($($type:ty),*) => {
        $(impl UniqueKey for $type {
            type Key<'a> = $type;
            fn key(&self) -> Option<$type> {
                Some(*self)
            }
        })*
    };
}

itself!(i32, i64, u32, u64, bool);

macro_rules! float {
    ($($type:ty => $bits:ty),*) => {
        $(impl UniqueKey for $type {
            type Key<'a> = $bits;
            fn key(&self) -> Option<$bits> {
                // Adding zero makes one of the two zeros.
                (!self.is_nan()).then(|| (*self + 0.0).to_bits())
            }
        })*
    };
}

float!(f32 => u32, f64 => u64);

impl UniqueKey for String {
    type Key<'a> = &'a str;
    fn key(&self) -> Option<&str> {
        Some(self)
    }
}

impl UniqueKey for Vec<u8> {
    type Key<'a> = &'a [u8];
    fn key(&self) -> Option<&[u8]> {
        Some(self)
    }
}
