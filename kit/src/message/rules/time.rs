use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Scalar, ScalarCheck};

/// A `google.protobuf.Duration`, with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    seconds: i64,
    nanos: i32,
}

/// A `google.protobuf.Timestamp`, with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    seconds: i64,
    nanos: i32,
}

const NANOS: i128 = 1_000_000_000;

impl Span {
    /// By the two fields of the message.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self { seconds, nanos }
    }

    fn nanos(self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanos)
    }
}

impl Moment {
    /// By the two fields of the message.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self { seconds, nanos }
    }

    fn now() -> Self {
        // A clock before 1970 is broken anyhow.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::new(i64::try_from(now.as_secs()).unwrap_or(i64::MAX), now.subsec_nanos().cast_signed())
    }

    fn nanos(self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanos)
    }
}

impl Scalar for Span {}
impl Scalar for Moment {}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prost_types::Duration { seconds: self.seconds, nanos: self.nanos }.fmt(f)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prost_types::Timestamp { seconds: self.seconds, nanos: self.nanos }.fmt(f)
    }
}

impl ScalarCheck<'_, Moment> {
    /// `lt_now`: not in the future.
    pub fn lt_now(mut self) -> Self {
        let holds = self.value <= Moment::now();
        self.check.require(holds, format_args!("must not be in the future"));
        self
    }

    /// `gt_now`: not in the past.
    pub fn gt_now(mut self) -> Self {
        let holds = self.value >= Moment::now();
        self.check.require(holds, format_args!("must not be in the past"));
        self
    }

    /// `within`: no further from now than this, to either side.
    pub fn within(mut self, span: Span) -> Self {
        let holds = (self.value.nanos() - Moment::now().nanos()).abs() <= span.nanos();
        self.check.require(holds, format_args!("must be within {span} of now"));
        self
    }
}
