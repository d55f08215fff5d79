use std::{fmt, ops::Bound};

use super::{Check, Choice};

/// What has an order: numbers, bools, durations, timestamps.
pub trait Scalar: Copy + PartialOrd + fmt::Display {}

impl Scalar for i32 {}
impl Scalar for i64 {}
impl Scalar for u32 {}
impl Scalar for u64 {}
impl Scalar for f32 {}
impl Scalar for f64 {}
impl Scalar for bool {}

/// A number that may be infinite, or none.
pub trait Float: Scalar {
    /// Whether it is neither.
    fn is_finite(self) -> bool;
}

impl Float for f32 {
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for f64 {
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

/// The rules of one [`Scalar`]. NaN is in no range.
#[derive(Debug)]
pub struct ScalarCheck<'a, T> {
    pub(super) check: Check<'a>,
    pub(super) value: T,
}

impl<'a, T: Scalar> ScalarCheck<'a, T> {
    pub(super) fn new(check: Check<'a>, value: T) -> Self {
        Self { check, value }
    }

    fn require(mut self, holds: bool, must: fmt::Arguments<'_>) -> Self {
        self.check.require(holds, must);
        self
    }

    /// `const`.
    pub fn equals(self, wanted: T) -> Self {
        let holds = self.value == wanted;
        self.require(holds, format_args!("must be {wanted}"))
    }

    /// `in`.
    pub fn one_of(self, allowed: &[T]) -> Self {
        let holds = allowed.contains(&self.value);
        self.require(holds, format_args!("must be {}", Choice(allowed)))
    }

    /// `not_in`.
    pub fn none_of(self, forbidden: &[T]) -> Self {
        let holds = !forbidden.contains(&self.value);
        self.require(holds, format_args!("must not be {}", Choice(forbidden)))
    }

    /// `gt`.
    pub fn gt(self, limit: T) -> Self {
        let holds = self.value > limit;
        self.require(holds, format_args!("must be greater than {limit}"))
    }

    /// `gte`.
    pub fn gte(self, limit: T) -> Self {
        let holds = self.value >= limit;
        self.require(holds, format_args!("must be at least {limit}"))
    }

    /// `lt`.
    pub fn lt(self, limit: T) -> Self {
        let holds = self.value < limit;
        self.require(holds, format_args!("must be less than {limit}"))
    }

    /// `lte`.
    pub fn lte(self, limit: T) -> Self {
        let holds = self.value <= limit;
        self.require(holds, format_args!("must be at most {limit}"))
    }

    /// A lower and an upper limit together; one of the two when the lower is above the upper: what is between them is out.
    pub fn range(self, lower: Bound<T>, upper: Bound<T>) -> Self {
        let value = self.value;
        let (above, low, low_text) = match lower {
            Bound::Included(low) => (value >= low, Some(low), "at least"),
            Bound::Excluded(low) => (value > low, Some(low), "greater than"),
            Bound::Unbounded => (true, None, ""),
        };
        let (below, high, high_text) = match upper {
            Bound::Included(high) => (value <= high, Some(high), "at most"),
            Bound::Excluded(high) => (value < high, Some(high), "less than"),
            Bound::Unbounded => (true, None, ""),
        };
        let (Some(low), Some(high)) = (low, high) else { return self };
        if low > high {
            self.require(above || below, format_args!("must be {high_text} {high} or {low_text} {low}"))
        } else {
            self.require(above && below, format_args!("must be {low_text} {low} and {high_text} {high}"))
        }
    }
}

impl<T: Float> ScalarCheck<'_, T> {
    /// `finite`.
    pub fn finite(self) -> Self {
        let holds = self.value.is_finite();
        self.require(holds, format_args!("must be a finite number"))
    }
}
