use std::{fmt, marker::PhantomData};

use super::{Check, Choice};
use crate::message::Enum;

/// The rules of an enum.
#[derive(Debug)]
pub struct EnumCheck<'a, E> {
    check: Check<'a>,
    value: i32,
    of: PhantomData<E>,
}

impl<'a, E: Enum> EnumCheck<'a, E> {
    pub(super) fn new(check: Check<'a>, value: i32) -> Self {
        Self { check, value, of: PhantomData }
    }

    /// `const`.
    pub fn equals(self, wanted: i32) -> Self {
        self.one_of(&[wanted])
    }

    /// `defined_only`.
    pub fn defined_only(mut self) -> Self {
        let holds = E::VALUES.iter().any(|(_, number)| *number == self.value);
        self.check.require(holds, format_args!("must be a value of {}", E::NAME));
        self
    }

    /// `in`.
    pub fn one_of(mut self, allowed: &[i32]) -> Self {
        if !allowed.contains(&self.value) {
            self.check.fail(format_args!("must be {}", Choice(&named::<E>(allowed))));
        }
        self
    }

    /// `not_in`.
    pub fn none_of(mut self, forbidden: &[i32]) -> Self {
        if forbidden.contains(&self.value) {
            self.check.fail(format_args!("must not be {}", Choice(&named::<E>(forbidden))));
        }
        self
    }
}

fn named<E: Enum>(numbers: &[i32]) -> Vec<Named<E>> {
    numbers.iter().map(|number| Named(*number, PhantomData)).collect()
}

/// The name of a value, or its number where it has none.
struct Named<E>(i32, PhantomData<E>);

impl<E: Enum> fmt::Display for Named<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match E::VALUES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}
